"""Start, graceful shutdown and configuration of the web daemon, as a real process."""

import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import Cloud
from testkit.aws.outage_relay import OutageRelay
from testkit.aws.stalling_proxy import stalling_proxy
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import started_module
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, launched, reply_queues, web_daemon

IMAGE = encoded(numbered(0))


class Client(threading.Thread):
    """Sends one image on a thread; `answer` is there after join()."""

    def __init__(self, web: Web, path: str = "/") -> None:
        super().__init__()
        self._web, self._path = web, path
        self.answer: requests.Response | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._web.post(self._path, files={"myfile": ("a.png", IMAGE)})


def test_idle_daemon_stops_at_once_and_deletes_its_queue(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, QUEUE__WAIT_SECONDS="20") as web:
        (name,) = reply_queues(aws)
        tags = aws.sqs.list_queue_tags(QueueUrl=aws.queue_url(name))["Tags"]
        assert tags["visionfleet"] == "replies"
        assert tags["heartbeat"].isdigit()
        status, seconds = web.process.stop()
    assert status == 0
    assert seconds < 10  # and not the 20 s of the parked poll
    assert reply_queues(aws) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_waiting_request_is_answered_on_stop(aws: Cloud, tmp_path: Path, number: int) -> None:
    with stand_in(aws, held=True) as fleet, web_daemon(aws, tmp_path) as web:
        client = Client(web)
        web.process.wait_for_output("job accepted")
        web.process.signal(number)
        web.process.wait_for_output("stopping")
        fleet.gate.set()
        client.join()
        web.process.assert_exit(0)
    assert client.answer is not None
    assert (client.answer.status_code, client.answer.text) == (200, label_of(IMAGE))
    assert client.answer.headers["Connection"] == "close"
    assert reply_queues(aws) == []


def test_stop_answers_all_though_s3_does_not(aws: Cloud, tmp_path: Path) -> None:
    """Who has a job is told its id, and others that they may try again."""
    with (
        stalling_proxy(aws.endpoint_url) as proxy,
        ThreadPoolExecutor(4) as clients,
        web_daemon(aws.behind(proxy.url), tmp_path, WEB__STOP_SECONDS="1") as web,
    ):
        asks = [clients.submit(web.post, "/v1/classify?wait=60", data=IMAGE)]
        web.process.wait_for_output("job accepted")
        proxy.stalled.set()
        key = {"Idempotency-Key": "stalled"}
        asks += [
            clients.submit(web.post, "/v1/classify", data=IMAGE),
            clients.submit(web.post, "/v1/jobs", data=IMAGE, headers=key),
            clients.submit(web.get, f"/v1/jobs/{'0' * 26}"),
        ]
        wait_until(lambda: proxy.held >= 3, 20)
        assert web.process.stop(20)[0] == 0
        assert [ask.result().status_code for ask in asks] == [202, 503, 503, 503]


def test_request_that_outlasts_the_stop_gets_its_job(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, WEB__STOP_SECONDS="1") as web:
        clients = [Client(web, path) for path in ("/", "/v1/classify", "/v1/classify?wait=200")]
        wait_until(lambda: web.process.output().count("job accepted") == 3, 30, web.process.tail)
        status, seconds = web.process.stop()
        for client in clients:
            client.join()
    assert status == 0
    assert seconds < 12  # and not the 25 s and more that they would wait
    jobs = set()
    for client in clients:
        assert client.answer is not None
        assert client.answer.status_code == 202
        jobs.add(client.answer.json()["job"])
    assert len(jobs) == 3
    assert reply_queues(aws) == []


def test_unready_daemon_still_accepts_connections(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path, WEB__UNREADY_SECONDS="60") as web:
        web.process.signal(signal.SIGTERM)
        web.process.wait_for_output("stopping")
        readiness = web.get("/readyz")
        assert (readiness.status_code, readiness.json()["reasons"]) == (503, ["stopping"])
        assert web.post("/v1/jobs", data=IMAGE).status_code == 202
        web.process.signal(signal.SIGTERM)
        web.process.assert_exit(130)


def test_stopping_daemon_accepts_no_connections(aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws, held=True) as fleet, web_daemon(aws, tmp_path) as web:
        with requests.Session() as kept:
            assert kept.get(f"{web.url}/readyz", timeout=30).status_code == 200
            client = Client(web)
            web.process.wait_for_output("job accepted")
            web.process.signal(signal.SIGTERM)
            web.process.wait_for_output("stopping")
            wait_until(lambda: not connects(web), 30, "listening to end")
            # Only a connection that was kept open can still ask.
            readiness = kept.get(f"{web.url}/readyz", timeout=30)
            assert (readiness.status_code, readiness.json()["reasons"]) == (503, ["stopping"])
        fleet.gate.set()
        client.join()
        web.process.assert_exit(0)


def connects(web: Web) -> bool:
    try:
        web.connect(1).close()
    except OSError:
        return False
    return True


def test_second_signal_ends_at_once(aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(aws, tmp_path) as web:
        client = threading.Thread(target=cut_off, args=(web,))
        client.start()
        web.process.wait_for_output("job accepted")
        web.process.signal(signal.SIGTERM)
        web.process.wait_for_output("stopping")
        web.process.signal(signal.SIGTERM)
        web.process.assert_exit(130)
        client.join()


def cut_off(web: Web) -> None:
    with pytest.raises(requests.ConnectionError):
        web.post("/", data=IMAGE)


def test_web_waits_for_aws_and_then_serves(aws: Cloud, tmp_path: Path) -> None:
    relay = OutageRelay(int(aws.endpoint_url.rsplit(":", 1)[-1]))
    environment = {
        **aws.environment,
        "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{relay.port}",
        "AWS_MAX_ATTEMPTS": "1",
    }
    with launched(environment, tmp_path) as web:
        web.process.wait_for_output("waiting for AWS", 20)
        relay.open()
        try:
            web.process.wait_for_output("web: ready", 30)
            with stand_in(aws):
                assert web.post("/", data=IMAGE).text == label_of(IMAGE)
            assert web.process.stop()[0] == 0
        finally:
            relay.close()


def test_web_can_be_stopped_while_it_waits_for_aws(tmp_path: Path) -> None:
    environment = {
        "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    with launched(environment, tmp_path) as web:
        web.process.wait_for_output("waiting for AWS", 20)
        assert web.process.stop()[0] == 0


@pytest.mark.parametrize(
    "settings", [{"NAME": "other"}, {"STORAGE__INPUT_BUCKET": "nowhere"}], ids=str
)
def test_missing_bucket_or_queue_is_one_error_line(
    aws: Cloud, tmp_path: Path, settings: dict[str, str]
) -> None:
    with launched(aws.environment, tmp_path, **settings) as web:
        web.process.assert_exit(1, 20)
        (line,) = web.process.output().splitlines()
    assert "visionfleet provision" in line


def test_port_in_use_is_one_error_line(aws: Cloud, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with launched(aws.environment, tmp_path, WEB__PORT=port) as web:
            web.process.assert_exit(1, 20)
            (line,) = web.process.output().splitlines()
    assert f"cannot listen address=127.0.0.1:{port}" in line
    assert reply_queues(aws) == []


def test_faulty_configuration_exits_with_78(tmp_path: Path) -> None:
    config = tmp_path / "faulty.yaml"
    config.write_text("web: {port: 80a, max_waiting: 0}\nwbe: {}\n")
    arguments = ("--config", str(config))
    with started_module("visionfleetd.web.main", *arguments, log=tmp_path / "log") as process:
        process.assert_exit(78, 20)
        lines = process.output().splitlines()
    assert len(lines) == 3
    assert any("web.port" in line for line in lines)
    assert any("web.max_waiting" in line for line in lines)


def test_too_few_open_files_for_any_client_exit_with_78(tmp_path: Path) -> None:
    (config := tmp_path / "empty.yaml").touch()
    daemon = f"{sys.executable} -m visionfleetd.web.main --config {config}"
    command = f"ulimit -n 400; exec {daemon}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 78
    assert "the hard limit of open files is 400, more than 400 are needed" in done.stderr


def test_check_config_and_version_options(tmp_path: Path) -> None:
    config = tmp_path / "good.yaml"
    config.write_text("web: {port: 8081}\n")
    base = [sys.executable, "-m", "visionfleetd.web.main"]
    good = ["--config", str(config), "--check-config"]
    checked = subprocess.run([*base, *good], capture_output=True, text=True, check=True)
    assert checked.stdout.startswith("ok:")
    version = subprocess.run([*base, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip()[0].isdigit()


def test_every_network_is_listened_on(aws: Cloud, tmp_path: Path) -> None:
    """`::` is IPv4, too, as the setting says."""
    with web_daemon(aws, tmp_path, WEB__ADDRESS='"::"', WEB__AUTH="none") as web:
        for host in ("127.0.0.1", "[::1]"):
            assert requests.get(f"http://{host}:{web.port}/healthz", timeout=20).ok, host
