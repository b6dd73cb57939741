"""A web daemon as systemd and an operator see it: readiness, watchdog, status, reload."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started_module
from testkit.processes.notify_socket import notify_socket
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.certificates import self_signed

IMAGE = encoded(numbered(0))
WATCHDOG = {"WATCHDOG_USEC": "2000000"}


@contextmanager
def daemon(aws: Cloud, config: Path, **environment: str) -> Iterator[Process]:
    with started_module(
        "visionfleetd.web.main",
        *("--config", str(config)),
        log=config.with_suffix(".log"),
        env={**aws.environment, **environment},
        stop_seconds=30,
    ) as process:
        process.wait_for_output("web: ready", 30)
        yield process


def test_systemd_is_notified_from_start_to_stop(aws: Cloud, tmp_path: Path) -> None:
    config, port = tmp_path / "web.yaml", free_port()
    config.write_text(f"queue: {{wait_seconds: 20}}\nweb: {{port: {port}, stop_seconds: 7}}\n")
    url = f"http://127.0.0.1:{port}/"
    with notify_socket() as listener, stand_in(aws):
        with daemon(aws, config, NOTIFY_SOCKET=listener.address, **WATCHDOG) as web:
            wait_until(lambda: listener.count("READY=1") == 1, 30, web.tail)
            assert requests.post(url, files={"f": ("a.png", IMAGE)}, timeout=30).status_code == 200
            wait_until(lambda: any("1 jobs answered" in s for s in listener.statuses), 30, web.tail)
            assert listener.statuses[0] == "ready: 0 in flight, 0 jobs answered"
            signs = listener.count("WATCHDOG=1")
            wait_until(lambda: listener.count("WATCHDOG=1") > signs + 2, 30, web.tail)
            assert web.stop()[0] == 0
        assert listener.count("STOPPING=1") == listener.count("EXTEND_TIMEOUT_USEC=17000000") == 1
        assert listener.count("WATCHDOG=trigger") == 0


def test_reload_applies_live_settings_and_names_the_rest(aws: Cloud, tmp_path: Path) -> None:
    config, port = tmp_path / "web.yaml", free_port()
    config.write_text(f"web: {{port: {port}}}\n")

    def post() -> tuple[int, str | None]:
        url, headers = f"http://127.0.0.1:{port}/v1/jobs", {"Origin": "https://a.example"}
        answer = requests.post(url, data=IMAGE, headers=headers, timeout=30)
        return answer.status_code, answer.headers.get("Access-Control-Allow-Origin")

    with notify_socket() as listener, daemon(aws, config, NOTIFY_SOCKET=listener.address) as web:
        assert post() == (202, None)
        faulty = f"web: {{port: {port}, max_waiting: none}}\nimages: {{max_bytes: 1}}\n"
        said = listener.reload(web, config, faulty)
        assert "configuration faulty, nothing changed faults=2" in said
        assert "web.max_waiting: expected an integer from 1 to 1000000" in said
        assert "images.max_bytes: expected an integer from 1024" in said
        assert post() == (202, None)

        origins = "cors_origins: ['https://a.example']"
        good = f"web: {{port: {port + 1}, auth: none, {origins}}}\nimages: {{formats: [JPEG]}}\n"
        said = listener.reload(web, config, good + "classifier: {batch_size: 4}\n")
        assert "reloaded changed=images.formats,web.cors_origins\n" in said
        assert "needs a restart settings=web.port,web.auth\n" in said
        assert post() == (415, "https://a.example")
        assert listener.count("RELOADING=1") == 2
        assert web.stop()[0] == 0


def test_reload_takes_a_new_certificate_and_no_faulty_one(aws: Cloud, tmp_path: Path) -> None:
    config, port = tmp_path / "web.yaml", free_port()
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    settings = f"web: {{port: {port}, tls_certificate: certificate.pem, tls_key: key.pem}}\n"
    config.write_text(settings)

    def trusted() -> bool:
        url = f"https://127.0.0.1:{port}/healthz"
        return requests.get(url, timeout=30, verify=str(certificate)).ok

    with notify_socket() as listener, daemon(aws, config, NOTIFY_SOCKET=listener.address) as web:
        assert trusted()
        first = certificate.read_text()
        self_signed(certificate, key)
        assert certificate.read_text() != first
        listener.reload(web, config, settings)
        assert trusted()
        key.write_text("not a key")
        said = listener.reload(web, config, settings)
        assert "configuration faulty, nothing changed faults=1" in said
        assert trusted()
