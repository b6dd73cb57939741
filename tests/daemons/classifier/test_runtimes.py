"""Workers on both runtimes in one fleet."""

from functools import partial
from typing import Any

import pytest

from testkit.aws.embedded import Cloud
from testkit.classifier.daemon import PICTURES, Start, report, results
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


def test_half_of_the_fleet_may_run_each_runtime(aws: Cloud, start: Start) -> None:
    with (
        start("torch", VISIONFLEET_MODEL__RUNTIME="torch") as one,
        start("openvino", VISIONFLEET_MODEL__RUNTIME="openvino") as other,
    ):
        for process, worker in ((one, "torch"), (other, "openvino")):
            wait_until(partial(boot_seconds, aws, worker), 90, process.tail)
            assert f"precision chosen runtime={worker} precision=float32" in process.output()
        jobs: list[str] = []
        while len(workers(aws, jobs)) < 2:
            first = len(jobs)
            assert first < 1000, "one of them answers nothing"
            jobs += send_more(aws, first)
            results(aws, jobs)
        found = results(aws, jobs)
    assert all(found[f"job{i}"]["label"] == f"label-{i % PICTURES}" for i in range(len(jobs)))
    assert len({result["model"]["fingerprint"] for result in found.values()}) == 1


def boot_seconds(aws: Cloud, worker: str) -> Any:
    return report(aws, worker).get("boot_seconds")


def send_more(aws: Cloud, first: int) -> list[str]:
    jobs = [f"job{number}" for number in range(first, first + PICTURES)]
    for number, job in enumerate(jobs):
        aws.send_request(job, encoded(numbered(number)))
    return jobs


def workers(aws: Cloud, jobs: list[str]) -> set[str]:
    return {(aws.result(job) or {}).get("worker", "") for job in jobs}
