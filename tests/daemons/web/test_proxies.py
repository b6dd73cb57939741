"""Behind nginx and HAProxy as docs/proxies.md configures them, all is as without a proxy."""

import base64
import gzip
import http.client
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon
from testkit.web.proxies import documented, haproxy, nginx, settings
from visionfleet.web.http.server import IDLE_SECONDS

MIB = 1 << 20
IMAGE = encoded(numbered(0))
LARGE = encoded(numbered(1, side=1350), compress_level=0)
STREAMED = {"client_max_body_size": "proxy_request_buffering off;\n        client_max_body_size"}


@pytest.fixture(scope="module")
def web(running_aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    aws, folder = emptied(running_aws), tmp_path_factory.mktemp("web")
    with stand_in(aws, threads=2), web_daemon(aws, folder, **settings()) as made:
        yield made


@pytest.fixture(scope="module")
def proxies(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folders: Iterator[Path] = (tmp_path_factory.mktemp(f"proxy{i}") for i in range(3))
    with ExitStack() as running:
        yield {
            "nginx": running.enter_context(nginx(next(folders), web.port, {})),
            "nginx, streamed": running.enter_context(nginx(next(folders), web.port, STREAMED)),
            "haproxy": running.enter_context(haproxy(next(folders), web.port)),
        }


@pytest.fixture(params=["nginx", "nginx, streamed", "haproxy"])
def proxy(request: pytest.FixtureRequest, proxies: dict[str, str]) -> str:
    return proxies[request.param]


class Client:
    """A client of `http://vision.example/vision/`, on one connection, if it is kept open."""

    def __init__(self, url: str) -> None:
        self._session = requests.Session()
        self._url = url

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Host": "vision.example", **options.pop("headers", {})}
        return self._session.request(
            method,
            urljoin(self._url, path),
            headers=headers,
            timeout=30,
            allow_redirects=False,
            **options,
        )


@pytest.fixture
def client(proxy: str) -> Client:
    return Client(proxy)


def test_uploads_of_all_kinds_pass_a_proxy(client: Client) -> None:
    b64 = base64.b64encode(IMAGE).decode()
    for options in (
        {"files": {"f": ("a.png", IMAGE)}},
        {"data": IMAGE, "headers": {"Content-Type": "image/png"}},
        {"data": iter([IMAGE[:10], IMAGE[10:]])},
        {"data": gzip.compress(IMAGE), "headers": {"Content-Encoding": "gzip"}},
        {"json": {"image": b64}},
        {"data": IMAGE, "headers": {"Expect": "100-continue"}},
    ):
        answer = client.ask("POST", "/vision/v1/classify", **options)
        assert (answer.status_code, answer.json().get("label")) == (200, label_of(IMAGE))
    assert len(LARGE) > 5 * MIB
    assert client.ask("POST", "/vision/", data=LARGE).text == label_of(LARGE)


def test_location_leads_below_the_public_path(client: Client) -> None:
    answer = client.ask("POST", "/vision/v1/jobs", data=IMAGE)
    assert answer.headers["Location"] == f"/vision/v1/jobs/{answer.json()['job']}"
    assert answer.json()["location"] == answer.headers["Location"]
    found = client.ask("GET", f"{answer.headers['Location']}?wait=20")
    assert found.json()["label"] == label_of(IMAGE)
    described = client.ask("GET", "/vision/openapi.json").json()
    assert described["servers"] == [{"url": "/vision"}]


def test_page_and_its_files_are_found_below_the_public_path(client: Client) -> None:
    led = client.ask("GET", "/vision")
    assert urljoin("http://x/vision", led.headers["Location"]).endswith("/vision/")
    text = client.ask("GET", "/vision/").text
    names = re.findall(r'(?:href|src)="([^"#]+)"', text)
    assert {"page.js", "page.css", "page-icon.svg"} <= set(names)
    for name in names:
        assert client.ask("GET", urljoin("/vision/", name)).status_code == 200


def test_errors_pass_a_proxy_and_keep_the_connection(client: Client) -> None:
    for path, body, status, code in (
        ("v1/classify", b"text", 415, "not_an_image"),
        ("v1/nothing", b"x" * MIB, 404, "not_found"),
        ("v1/jobs/nothing", b"", 405, "method_not_allowed"),
        ("", b"\xff" * 30 * MIB, 413, "too_large"),
        ("v1/jobs?top=0", IMAGE, 400, "bad_parameter"),
    ):
        answer = client.ask("POST", f"/vision/{path}", data=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert client.ask("GET", "/vision/healthz").status_code == 200


def test_too_large_is_refused_by_its_length(proxy: str) -> None:
    connection = http.client.HTTPConnection(proxy.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/vision/v1/jobs")
    connection.putheader("Content-Length", str(200 * MIB))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_client_address_comes_from_the_proxy(web: Web, client: Client) -> None:
    before = len(web.process.output())
    client.ask("POST", "/vision/v1/jobs", data=b"x", headers={"X-Forwarded-For": "203.0.113.9"})
    assert "client=203.0.113.9" in web.process.output()[before:]


def test_documented_timeouts_fit_those_of_the_daemon() -> None:
    """A request may wait for `max_wait_seconds`; who sends closes idle connections first."""
    longest = float(settings()["WEB__MAX_WAIT_SECONDS"])
    nginx_text, haproxy_text = documented("nginx"), documented("haproxy")
    (read,) = re.findall(r"proxy_read_timeout (\d+)s;", nginx_text)
    (idle,) = re.findall(r"keepalive_timeout (\d+)s;", nginx_text)
    (server,) = re.findall(r"timeout server (\d+)s", haproxy_text)
    assert min(float(read), float(server)) > longest
    assert float(idle) < IDLE_SECONDS


def test_only_documented_names_reach_the_daemon(web: Web, client: Client) -> None:
    evil = {"Host": "evil.example"}
    assert requests.get(f"{web.url}/vision/v2", headers=evil, timeout=20).status_code == 421
    assert client.ask("GET", "/vision/v2").status_code == 200
    refused = client.ask("GET", "/vision/v2", headers=evil)
    assert (refused.status_code, list(refused.json())) == (421, ["error"])
