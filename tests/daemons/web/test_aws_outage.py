"""A running web daemon while AWS is unreachable, and after."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from testkit.aws.embedded import Cloud
from testkit.aws.outage_relay import OutageRelay
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))
ONCE = {"AWS_MAX_ATTEMPTS": "1"}


@pytest.fixture
def relay(aws: Cloud) -> Iterator[OutageRelay]:
    made = OutageRelay(int(aws.endpoint_url.rsplit(":", 1)[-1]))
    made.open()
    yield made
    made.close()


@pytest.fixture
def behind(aws: Cloud, relay: OutageRelay) -> Cloud:
    return aws.behind(f"http://127.0.0.1:{relay.port}")


@pytest.fixture
def web(behind: Cloud, tmp_path: Path) -> Iterator[Web]:
    with web_daemon(behind, tmp_path, ONCE) as made:
        yield made


def test_uploads_are_503_with_retry_after(web: Web, relay: OutageRelay) -> None:
    relay.close()
    for path in ("/", "/v1/classify", "/v1/jobs"):
        answer = web.post(path, data=IMAGE)
        assert (answer.status_code, answer.json()["code"]) == (503, "try_later")
        assert int(answer.headers["Retry-After"]) > 0
        assert "Traceback" not in answer.text
    readiness = web.get("/readyz")
    assert readiness.status_code == 503
    assert "S3 or SQS refused the last 3 uploads" in readiness.json()["reasons"]
    assert web.get("/healthz").ok
    assert web.get("/v1/fleet").status_code == 503
    assert web.get("/v1/jobs/" + "0" * 26).status_code == 503
    several = web.post("/v1/jobs", files=[("f", ("1", IMAGE)), ("f", ("2", IMAGE))])
    assert (several.status_code, several.headers["Retry-After"]) == (503, "5")


def test_readiness_follows_aws_without_traffic(web: Web, relay: OutageRelay) -> None:
    assert web.get("/readyz").ok
    relay.close()
    wait_until(lambda: "S3 or SQS do not answer" in reasons(web), 20, interval_seconds=0.5)
    relay.open()
    wait_until(lambda: not reasons(web), 60, interval_seconds=0.5)


def reasons(web: Web) -> list[str]:
    found: list[str] = web.get("/readyz").json()["reasons"]
    return found


def test_bad_images_are_refused_without_aws(web: Web, relay: OutageRelay) -> None:
    relay.close()
    assert web.post("/", data=b"text").status_code == 415


def test_accepted_job_survives_an_outage(aws: Cloud, web: Web, relay: OutageRelay) -> None:
    location = web.post("/v1/jobs", data=IMAGE).headers["Location"]
    relay.close()
    web.process.wait_for_output("replies cannot be received", 20)
    with stand_in(aws):
        wait_until(lambda: aws.keys("results/"), 20)
    relay.open()
    web.process.wait_for_output("replies are received again", 60)
    assert web.process.output().count("replies cannot be received") == 1, "once per episode"
    assert web.get(location).json()["label"] == label_of(IMAGE)
    # It looks at S3 and SQS only when it is asked, and then every few seconds.
    wait_until(lambda: not reasons(web), 60, interval_seconds=0.5)


def test_web_stops_in_time_without_aws(web: Web, relay: OutageRelay) -> None:
    relay.close()
    web.process.wait_for_output("replies cannot be received", 20)
    status, seconds = web.process.stop()
    assert status == 0
    assert seconds < 15


def test_hung_upload_does_not_delay_the_stop(
    relay: OutageRelay, behind: Cloud, tmp_path: Path
) -> None:
    answers: list[requests.Response] = []
    with web_daemon(behind, tmp_path, ONCE, WEB__STOP_SECONDS="0.5") as web:
        relay.close()
        with socket.create_server(("127.0.0.1", relay.port)) as silent, ExitStack() as held:
            client = threading.Thread(target=lambda: answers.append(web.post("/", data=IMAGE)))
            client.start()
            until_an_image_comes(silent, held)
            status, seconds = web.process.stop(20)
            client.join()
    assert (status, answers[0].status_code, answers[0].json()["code"]) == (0, 503, "try_later")
    assert seconds < 10  # and not until S3 is given up


def until_an_image_comes(silent: socket.socket, held: ExitStack) -> None:
    """Take connections and answer none of them, until one of them is an upload."""
    silent.settimeout(30)
    piece = b""
    while b"images/" not in piece:
        one, _ = silent.accept()
        held.enter_context(one)
        piece = one.recv(65536)


def test_unreadable_reply_queue_means_not_ready(web: Web, relay: OutageRelay) -> None:
    relay.close()

    def reason() -> str | None:
        return next((one for one in reasons(web) if one.startswith("the reply queue")), None)

    assert "has not answered for" in wait_until(reason, 40, interval_seconds=0.5)
