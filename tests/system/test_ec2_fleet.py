"""The whole loop on EC2's interface: 300 uploads, 0 to 19 to 0 instances, real daemons."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from testkit.aws.ec2_proxy import Ec2Proxy, ec2_proxy
from testkit.aws.embedded import Cloud, cloud, ec2_client
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started_module
from testkit.processes.waiting import wait_until
from testkit.web.daemon import web_daemon

pytestmark = pytest.mark.needs_torch

UPLOADS, MAXIMUM = 300, 19
BOOT_SECONDS = 2.0
# Priors that want the whole fleet for a few images. The clocks are as fast as a few cores stand.
SETTINGS = """
queue: {wait_seconds: 3, visibility_timeout_seconds: 60}
model: {threads: 1}
classifier:
  batch_size: 4
  prefetch: 4
  report_seconds: 5
  ec2_instance: true
scaler:
  fleet: ec2
  interval_seconds: 2
  hold_seconds: 4
  target_wait_seconds: 0.5
  service_seconds: 5
  paid_seconds: 0
ec2:
  launch_template: workers
"""


@dataclass
class Fleet:
    """The running service, and what can be seen of it from outside."""

    aws: Cloud
    url: str
    ec2: Any
    proxy: Ec2Proxy
    scaler: Process
    workers: Process
    folder: Path

    def instances(self) -> int:
        """Count the instances that exist."""
        states = ["pending", "running", "shutting-down", "stopping", "stopped"]
        pages = self.ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": states}]
        )
        return sum(len(r["Instances"]) for page in pages for r in page["Reservations"])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    pictures = [numbered(i) for i in range(UPLOADS)]
    model = table_model(tmp_path, pictures, [f"label-{i}" for i in range(UPLOADS)], busy_rounds=2)
    config = tmp_path / "fleet.yaml"
    config.write_text(SETTINGS)
    logs = tmp_path / "machines"
    logs.mkdir()
    with ExitStack() as stack:
        aws = stack.enter_context(cloud(tmp_path, {"VisibilityTimeout": "60"}))
        ec2 = ec2_client(aws)
        ec2.create_launch_template(
            LaunchTemplateName="workers",
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "c7i.large"},
        )
        proxy = stack.enter_context(ec2_proxy(aws.endpoint_url))
        workers = stack.enter_context(
            started_module(
                "testkit.fleet.ec2_workers",
                *(str(logs), str(BOOT_SECONDS)),
                log=tmp_path / "workers.log",
                env={**aws.environment, **model, "MACHINE_CONFIG": str(config)},
                stop_seconds=60,
            )
        )
        scaler = stack.enter_context(
            started_module(
                "visionfleetd.scaler.main",
                *("--config", str(config)),
                log=tmp_path / "scaler.log",
                env={**aws.environment, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url},
            )
        )
        web = stack.enter_context(web_daemon(aws, tmp_path))
        scaler.wait_for_output("ready", 30)
        workers.wait_for_output("ready", 60)
        yield Fleet(aws, web.url, ec2, proxy, scaler, workers, logs)


def test_300_uploads_launch_19_instances_and_leave_none(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fleet.instances() == 0
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            peak[0] = max(peak[0], fleet.instances())

    def upload(number: int) -> tuple[int, str]:
        files = {"myfile": ("same.png", encoded(numbered(number)))}
        answer = requests.post(fleet.url + "/", files=files, timeout=280)
        return answer.status_code, answer.text

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        with ThreadPoolExecutor(100) as clients:
            answers = list(clients.map(upload, range(UPLOADS)))
        answered = time.monotonic() - began
        wait_until(lambda: fleet.instances() == 0, 90, fleet.scaler.tail)
    finally:
        over.set()
        watcher.join()
    zero = time.monotonic() - began

    assert answers == [(200, f"label-{i}") for i in range(UPLOADS)]
    assert peak[0] == MAXIMUM
    assert len(fleet.aws.keys("results/")) == UPLOADS
    assert fleet.aws.counts() == fleet.aws.counts("visionfleet-requests-dead") == (0, 0)
    workers = {result_worker(fleet.aws, key) for key in fleet.aws.keys("results/")}
    assert all(worker.startswith("i-") for worker in workers), workers
    no_worker_was_ended_at_work(fleet)
    with capsys.disabled():
        print(
            f"\n{UPLOADS} uploads answered after {answered:.0f} s by {len(workers)} workers, "
            f"peak {peak[0]} instances, zero after {zero:.0f} s"
        )


def result_worker(aws: Cloud, key: str) -> str:
    result = aws.result(key.removeprefix("results/").removesuffix(".json"))
    assert result is not None
    return str(result["worker"])


def no_worker_was_ended_at_work(fleet: Fleet) -> None:
    """Each machine's log says that it was drained before its TERM, and left nothing in flight."""
    started = fleet.workers.output().count("started i-")
    wait_until(lambda: fleet.workers.output().count("ended i-") == started, 60, fleet.workers.tail)
    logs = [path.read_text() for path in fleet.folder.glob("i-*.log")]
    assert len(logs) == started >= 1
    for log in logs:
        assert 0 < log.find("classifier: drained") < log.find("signal=SIGTERM"), log
        assert "left_in_hand=0" in log, log
    assert "killed i-" not in fleet.workers.output()
