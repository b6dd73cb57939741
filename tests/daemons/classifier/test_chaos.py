"""The short form of the chaos benchmark, and outages: one right result per job, whatever fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud, cloud
from testkit.aws.fault_proxy import FaultProxy, fault_proxy
from testkit.aws.faults import Faults
from testkit.chaos.daemons import Daemons
from testkit.chaos.plan import CLOCK, DEAD, FREEZE, KILL, OUTAGE, STOP, Plan
from testkit.chaos.run import label, picture, run, service
from testkit.processes.waiting import wait_until

QUICK = {"VISIONFLEET_CLASSIFIER__MAX_PROCESSING_SECONDS": "8"}
pytestmark = pytest.mark.needs_torch


def test_every_job_has_one_right_result_after_chaos(tmp_path: Path) -> None:
    said: list[str] = []
    blows = {KILL: 6, STOP: 2, FREEZE: 2, OUTAGE: 1, CLOCK: 2}
    plan = Plan(120, 1, blows, pause_seconds=0.5, outage_seconds=1.0, freeze_seconds=3.0)
    outcome = run(plan, tmp_path, said.append)
    assert outcome.kept(), (outcome, said)
    assert set(outcome.by_runtime) == {"torch", "openvino"}, "half of the workers run each"
    assert {"kill classifier", "kill web", "kill scaler"} <= set(outcome.blows)
    assert all(outcome.faults.values()), ("each kind was met", outcome.faults)
    assert all(outcome.clients.values()), ("of clients too", outcome.clients)


@contextmanager
def one_worker(folder: Path, max_receives: int) -> Iterator[tuple[Cloud, FaultProxy, Daemons]]:
    plan = Plan(0, 1, {}, workers=1, webs=0, scalers=0, max_receives=max_receives)
    with (
        cloud(folder, {"VisibilityTimeout": "8"}) as aws,
        fault_proxy(aws.endpoint_url) as proxy,
        service(plan, folder, aws, proxy, **QUICK) as daemons,
    ):
        yield aws, proxy, daemons


def assert_answered(aws: Cloud, jobs: int, daemons: Daemons) -> None:
    worker = daemons.slots[0].process
    wait_until(lambda: aws.counts() == (0, 0), 60, worker.tail)
    labels = [(aws.result(f"job-{number}") or {}).get("label") for number in range(jobs)]
    assert labels == [label(number) for number in range(jobs)], worker.tail()
    assert aws.counts(DEAD) == (0, 0)
    assert not daemons.unexpected


def send(aws: Cloud, jobs: int) -> None:
    for number in range(jobs):
        aws.send_request(f"job-{number}", picture(number))


def test_s3_outage_does_not_use_up_deliveries(tmp_path: Path) -> None:
    """Who waits for a thread is held as well; of its own, an image may take 8 s."""
    with one_worker(tmp_path, max_receives=3) as (aws, proxy, daemons):
        wait_until(daemons.all_ready, 90, daemons.tails)
        proxy.faults = {"S3": Faults(error=1)}
        send(aws, 20)
        time.sleep(20)
        proxy.faults = {}
        assert_answered(aws, 20, daemons)
        assert {(aws.result(f"job-{number}") or {})["attempts"] for number in range(20)} == {1}


def test_worker_becomes_ready_during_an_sqs_outage(tmp_path: Path) -> None:
    """What was found before the model was loaded is not asked for again."""
    with one_worker(tmp_path, max_receives=3) as (aws, proxy, daemons):
        tail = daemons.slots[0].process.tail
        wait_until(lambda: aws.object("fleet/workers/w0-1.json"), 60, tail, 0.01)
        proxy.faults = {"SQS": Faults(error=1)}
        send(aws, 2)
        wait_until(daemons.all_ready, 90, tail)
        proxy.faults = {}
        assert_answered(aws, 2, daemons)
