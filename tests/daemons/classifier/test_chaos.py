"""The short form of the chaos benchmark: one right result per job, whatever fails."""

from pathlib import Path

import pytest

from testkit.aws.embedded import cloud
from testkit.aws.fault_proxy import fault_proxy
from testkit.classifier.chaos import chaos, run
from testkit.classifier.chaos_plan import Plan, judge
from testkit.processes.waiting import wait_until

pytestmark = pytest.mark.needs_torch


def test_every_job_has_one_right_result_after_chaos(tmp_path: Path) -> None:
    said: list[str] = []
    shape = {"jobs": 150, "kills": 6, "terms": 2, "outages": 1, "workers": 3, "seed": 1}
    plan = Plan(**shape, pause_seconds=0.5, outage_seconds=2.0)
    outcome = run(plan, tmp_path, said.append, calm_seconds=60)
    assert outcome.kept(), (outcome, said)
    assert sum(outcome.faults.values()) > 50, "there was a storm"
    assert outcome.offered >= outcome.jobs


def test_s3_outage_does_not_use_up_deliveries(tmp_path: Path) -> None:
    """Three tries with at most 4, 8 and 16 s between them would be over before S3 is back."""
    plan = Plan(jobs=4, kills=0, terms=0, outages=0, workers=1, seed=1, max_receives=4)
    with (
        cloud(tmp_path, {"VisibilityTimeout": "8"}) as aws,
        fault_proxy(aws.endpoint_url) as proxy,
        chaos(plan, tmp_path, aws, proxy, print) as running,
    ):
        wait_until(running.fleet.ready, 90, running.fleet.workers[0].tail)
        running.out("S3", plan.jobs, seconds=30)
        running.settle(60)
        outcome = judge(plan, aws)
        assert outcome.kept(), outcome


def test_worker_becomes_ready_during_an_sqs_outage(tmp_path: Path) -> None:
    """What was found before the model was loaded is not asked for again."""
    plan = Plan(jobs=2, kills=0, terms=0, outages=0, workers=1, seed=1)
    with (
        cloud(tmp_path, {"VisibilityTimeout": "8"}) as aws,
        fault_proxy(aws.endpoint_url) as proxy,
        chaos(plan, tmp_path, aws, proxy, print) as running,
    ):
        (worker,) = running.fleet.workers
        wait_until(lambda: aws.object("fleet/workers/w0-1.json"), 60, worker.tail, 0.01)
        running.out("SQS", plan.jobs, seconds=1)
        running.settle(60)
        assert not running.fleet.unexpected
        outcome = judge(plan, aws)
        assert outcome.kept(), outcome
