"""API keys, rate limits, TLS and trusted proxies of a real web daemon."""

import re
import time
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.cli import visionfleet
from testkit.processes.waiting import wait_until
from testkit.web.certificates import self_signed
from testkit.web.daemon import Web, launched, web_daemon

IMAGE = encoded(numbered(0))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def command(*arguments: str, file: Path) -> str:
    done = visionfleet("keys", *arguments, "--file", str(file))
    assert done.returncode == 0, done.stderr
    return done.stdout


def add(name: str, file: Path, *more: str) -> str:
    return command("add", name, *more, file=file).strip()


def post(web: Web, headers: dict[str, str]) -> requests.Response:
    return web.post("/v1/jobs", data=IMAGE, headers={"Content-Type": "image/png", **headers})


def looked(web: Web) -> bool:
    return post(web, {"X-API-Key": "any"}).status_code == 401


def test_api_keys_may_be_in_the_settings(aws: Cloud, file: Path, tmp_path: Path) -> None:
    settled = add("settled", file)
    line = file.read_text().strip()
    file.unlink()
    filed = add("filed", file)
    settings = {"WEB__AUTH": "keys", "WEB__KEYS": f"[{line}]"}
    with web_daemon(aws, tmp_path, **settings) as web:
        assert post(web, {"X-API-Key": settled}).status_code == 202
        assert post(web, {"X-API-Key": filed}).status_code == 401
    with web_daemon(aws, tmp_path, **settings, WEB__KEYS_FILE=str(file)) as web:
        for key in (settled, filed):
            assert post(web, {"X-API-Key": key}).status_code == 202
        assert post(web, {"X-API-Key": settled[:-1]}).status_code == 401


def test_api_keys_are_created_listed_used_and_revoked(
    aws: Cloud, file: Path, tmp_path: Path
) -> None:
    key, other = add("ann", file), add("bob", file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert key.rsplit("_", 1)[-1] not in file.read_text()
    assert [line.split("\t")[2] for line in command("list", file=file).splitlines()] == [
        "ann",
        "bob",
    ]
    with stand_in(aws), web_daemon(aws, tmp_path, WEB__KEYS_FILE=str(file)) as web:
        bearer = {"Authorization": f"Bearer {key}"}
        assert web.post("/", data=IMAGE, headers=bearer).text == label_of(IMAGE)
        assert post(web, {"X-API-Key": other}).status_code == 202

        command("revoke", "ann", file=file)
        wait_until(lambda: post(web, bearer).status_code == 401, 30, "the key to be refused")
        assert post(web, {"X-API-Key": other}).status_code == 202
        new = add("cid", file)
        wait_until(lambda: post(web, {"X-API-Key": new}).status_code == 202, 30, "the new key")

        file.write_text("nonsense\n")
        wait_until(lambda: looked(web) and "keys not read" in web.process.output(), 30, "a look")
        assert post(web, {"X-API-Key": new}).status_code == 202, "the old keys stay"
        assert new.rsplit("_", 1)[-1] not in web.process.output()


def test_missing_api_key_is_401(aws: Cloud, file: Path, tmp_path: Path) -> None:
    key = add("ann", file)
    with web_daemon(aws, tmp_path, WEB__KEYS_FILE=str(file)) as web:
        for path in ("/", "/v1/classify", "/v1/jobs"):
            answer = web.post(path, data=IMAGE)
            assert (answer.status_code, answer.json()["code"]) == (401, "no_key")
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="visionfleet"'
        for path in ("/v1/fleet", "/v1/jobs/" + "0" * 26):
            assert web.get(path).status_code == 401
        for wrong in ("x", key[:-1] + "x", "vf_" + "0" * 10 + "_" + "0" * 64, key + key):
            answer = post(web, {"Authorization": f"Bearer {wrong}"})
            assert (answer.status_code, answer.json()["code"]) == (401, "wrong_key")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert post(web, {"Authorization": f"Basic {key}"}).status_code == 401
        for path in ("/", "/healthz", "/readyz"):
            assert web.get(path).status_code == 200


def test_refused_api_keys_do_not_flood_the_log(aws: Cloud, file: Path, tmp_path: Path) -> None:
    add("ann", file)
    with web_daemon(aws, tmp_path, WEB__KEYS_FILE=str(file)) as web:
        started = time.monotonic()
        for _ in range(100):
            assert web.get("/v1/fleet").status_code == 401
        seconds = time.monotonic() - started
        wait_until(lambda: looked(web) and told(web) > 100, 20, "the rest", interval_seconds=0.5)
        lines = [line for line in web.process.output().splitlines() if "/v1/fleet" in line]
    assert 1 <= len(lines) <= seconds + 1


def told(web: Web) -> int:
    return sum(
        int(count) for count in re.findall(r"code=\w+_key .*count=(\d+)", web.process.output())
    )


def test_classify_command_sends_its_api_key(aws: Cloud, file: Path, tmp_path: Path) -> None:
    image, key = tmp_path / "a.png", tmp_path / "mine"
    image.write_bytes(IMAGE)
    key.write_text(add("ann", file) + "\n")
    with stand_in(aws), web_daemon(aws, tmp_path, WEB__KEYS_FILE=str(file)) as web:
        command = ("classify", str(image), "--json", "--url", web.url)
        without, with_key = (
            visionfleet(*command, *more) for more in ((), ("--key-file", str(key)))
        )
    assert (without.returncode, "no_key" in without.stdout) == (1, True)
    assert (with_key.returncode, label_of(IMAGE) in with_key.stdout) == (0, True)


def test_rate_limit_of_an_api_key_is_429(aws: Cloud, file: Path, tmp_path: Path) -> None:
    slow, quick = add("slow", file, "--per-second", "0.02"), add("quick", file)
    settings = {"WEB__KEYS_FILE": str(file), "WEB__KEY_PER_SECOND": "1000"}
    with web_daemon(aws, tmp_path, **settings) as web:
        codes = [post(web, {"X-API-Key": slow}).status_code for _ in range(3)]
        assert codes == [202, 429, 429]
        answer = post(web, {"X-API-Key": slow})
        assert answer.json()["code"] == "rate_limited"
        assert 1 <= int(answer.headers["Retry-After"]) <= 50
        assert {post(web, {"X-API-Key": quick}).status_code for _ in range(10)} == {202}


def test_public_address_without_api_keys_is_a_fault(aws: Cloud, file: Path, tmp_path: Path) -> None:
    file.write_text("")
    for settings in ({}, {"WEB__AUTH": "keys"}, {"WEB__KEYS_FILE": str(file)}):
        with launched(aws.environment, tmp_path, WEB__ADDRESS="0.0.0.0", **settings) as web:
            web.process.assert_exit(78, 20)
            assert "visionfleet keys" in web.process.output()


@pytest.mark.parametrize("settings", [{"WEB__AUTH": "none"}, {}], ids=["none", "keys"])
def test_public_address_serves_with_keys_or_without_auth(
    aws: Cloud, file: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    if not settings:
        add("ann", file)
        settings = {"WEB__KEYS_FILE": str(file)}
    with web_daemon(aws, tmp_path, WEB__ADDRESS="0.0.0.0", **settings) as web:
        assert post(web, {}).status_code == (202 if "WEB__AUTH" in settings else 401)


def test_api_keys_come_from_a_systemd_credential(aws: Cloud, tmp_path: Path) -> None:
    key = add("ann", tmp_path / "web-keys")
    with web_daemon(aws, tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) as web:
        assert [post(web, headers).status_code for headers in ({}, {"X-API-Key": key})] == [
            401,
            202,
        ]


def test_revoking_the_last_api_key_says_what_follows(
    aws: Cloud, file: Path, tmp_path: Path
) -> None:
    add("ann", file)
    done = visionfleet("keys", "revoke", "ann", "--file", str(file))
    assert "no key is left: a web daemon that starts now ends with status 78" in done.stderr
    told = (
        "web.auth: keys are required and there are no API keys; `visionfleet keys add NAME --file"
    )
    with launched(aws.environment, tmp_path, WEB__KEYS_FILE=str(file)) as web:
        web.process.assert_exit(78, 20)
        assert f"{told} {file}` makes one" in web.process.output()
    (tmp_path / "web-keys").write_bytes(b"")
    environment = {**aws.environment, "CREDENTIALS_DIRECTORY": str(tmp_path), "INVOCATION_ID": "1"}
    with launched(environment, tmp_path) as web:
        web.process.assert_exit(78, 20)
        assert f"{told} /etc/credstore/visionfleet-web-keys` makes one" in web.process.output()


def test_web_serves_https(aws: Cloud, tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    self_signed(certificate, key)
    settings = {"WEB__TLS_CERTIFICATE": str(certificate), "WEB__TLS_KEY": str(key)}
    with web_daemon(aws, tmp_path, **settings) as web:
        url = web.url.replace("http:", "https:")
        answer = requests.post(f"{url}/v1/jobs", data=IMAGE, timeout=20, verify=str(certificate))
        assert answer.status_code == 202
        plain = web.get("/healthz")
        assert plain.status_code == 400
        assert "https://" in plain.json()["detail"]
        assert web.process.running
    key.write_text("no key")
    with launched(aws.environment, tmp_path, **settings) as web:
        web.process.assert_exit(78, 20)
        assert "web.tls_certificate" in web.process.output()


def test_log_names_the_client_behind_a_proxy(aws: Cloud, tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    with web_daemon(aws, tmp_path, WEB__TRUSTED_PROXIES="[127.0.0.0/8]") as web:
        web.get("/nothing", headers=forwarded)
        web.process.wait_for_output("client=198.51.100.7")
    with web_daemon(aws, tmp_path) as web:
        web.get("/nothing", headers=forwarded)
        web.process.wait_for_output("client=127.0.0.1")


def test_responses_have_security_headers(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path) as web:
        for answer in (web.get("/healthz"), web.get("/nothing"), web.post("/", data=b"x")):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
