"""The three daemons, each on a host whose clock is an hour off and is set by hours meanwhile."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.classifier.daemon import classifier_daemon, report
from testkit.fleet.scaler_daemon import lease, scaler_daemon, status
from testkit.fleet.supervised import supervised
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.clocks import set_clock
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, launched

pytestmark = pytest.mark.needs_torch

HOUR = 3600.0
UPLOAD_EXPIRE_SECONDS = 900.0
SETTINGS = """
queue: {visibility_timeout_seconds: 10, wait_seconds: 1}
classifier: {report_seconds: 1}
model: {threads: 1}
"""


@dataclass(frozen=True)
class Hosts:
    """The daemons, and a file with the fault of each one's clock."""

    folder: Path
    web: Web
    classifier: Process
    scaler: Process

    def set(self, **off: float) -> None:
        for name, seconds in off.items():
            set_clock(self.folder, name, seconds)


@pytest.fixture
def hosts(aws: Cloud, tmp_path: Path) -> Iterator[Hosts]:
    model = table_model(tmp_path, [numbered(i) for i in range(4)], [f"label-{i}" for i in range(4)])
    with ExitStack() as stack:
        workers = stack.enter_context(supervised(aws.environment))
        own = set_clock(tmp_path, "web", HOUR)
        web = stack.enter_context(
            launched({**aws.environment, **own}, tmp_path, WEB__EXPIRE_SECONDS="120")
        )
        own = {**model, **set_clock(tmp_path, "classifier", -HOUR)}
        worker = classifier_daemon(aws, tmp_path, "w_9", SETTINGS, **own)
        # A queue of its own: its workers are stand-ins, which have no model.
        aws.sqs.create_queue(QueueName="other-requests")
        own = {**set_clock(tmp_path, "scaler", HOUR), "VISIONFLEET_NAME": "other"}
        scaler = scaler_daemon(aws, workers, tmp_path, **own)
        started = [stack.enter_context(one) for one in (worker, scaler)]
        made = Hosts(tmp_path, web, *started)
        web.process.wait_for_output("web: ready", 90)
        made.classifier.wait_for_output("ready", 180)
        made.scaler.wait_for_output("acting", 90)
        yield made


def test_steps_of_an_hour_disturb_no_daemon(aws: Cloud, hosts: Hosts) -> None:
    for number, off in enumerate([HOUR, -HOUR, 0.0]):
        hosts.set(web=-off, classifier=off, scaler=-off)
        everything_goes_on(aws, hosts, number)
    assert hosts.scaler.output().count("acting") == 1
    hosts.set(classifier=HOUR)
    now = str(time.time()).encode()
    aws.s3.put_object(Bucket=BUCKETS[1], Key="fleet/drain/w_9", Body=now)
    wait_until(lambda: report(aws, "w_9")["state"] == "drained", 20, hosts.classifier.tail)


def everything_goes_on(aws: Cloud, hosts: Hosts, number: int) -> None:
    """An image has its label, and all times that are written and told are those of AWS."""
    job = hosts.web.post("/v1/jobs", data=encoded(numbered(number))).json()["job"]
    result = wait_until(lambda: aws.result(job), 30, hosts.classifier.tail)
    assert result["label"] == f"label-{number}", "and not expired"
    assert abs(result["finished_at"] - time.time()) < 60
    before, held = report(aws, "w_9")["reported_at"], lease(aws)["expires_at"]
    assert abs(before - time.time()) < 60
    wait_until(lambda: report(aws, "w_9")["reported_at"] > before, 20, "a report")
    wait_until(lambda: lease(aws)["expires_at"] > held, 20, "a lease")
    assert abs(status(aws)["at"] - time.time()) < 60
    assert abs(hosts.web.get("/v1/fleet").json()["now"] - time.time()) < 60
    form_ends_at = hosts.web.post("/v1/uploads").json()["expires_at"]
    assert abs(form_ends_at - time.time() - UPLOAD_EXPIRE_SECONDS) < 60


def test_step_within_a_request_is_not_its_duration(aws: Cloud, tmp_path: Path) -> None:
    own, image = set_clock(tmp_path, "web", 0.0), encoded(numbered(0))
    head = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    head += f"Content-Length: {len(image)}\r\nExpect: 100-continue\r\n\r\n"
    with launched({**aws.environment, **own}, tmp_path) as web:
        web.process.wait_for_output("web: ready", 90)
        address = ("127.0.0.1", int(web.url.rpartition(":")[2]))
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(head.encode())
            assert b" 100 " in client.recv(100), "it has begun"
            set_clock(tmp_path, "web", -HOUR)
            client.sendall(image)
            assert b" 202 " in client.recv(100)
        said = web.process.wait_for_output("web: request ")
        assert all(0 <= float(found) < 60 for found in re.findall(r" seconds=(\S+)", said)), said
