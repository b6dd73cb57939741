"""The calls that are reckoned with, against those of a scaler in a world that counts."""

import pytest

from testkit.fleet.scaler_world import ScalerWorld, run, scaler
from visionfleet.cost.bill import OF_A_QUIET_HOUR, OF_A_WORKER_HOUR, OF_AN_AWAKE_HOUR

# Long polls of the web daemon's reply queue, 20 s each, and its heartbeats.
OF_WEB = 180 + 12


def test_reckoned_calls_of_a_quiet_hour_are_those_made() -> None:
    world = ScalerWorld(reply_queues={"visionfleet-replies-h-1": {"visionfleet": "replies"}})
    ours = scaler(world)
    run(world, [ours], 600)
    before = world.calls.copy()
    run(world, [ours], 3600)
    made = world.calls - before
    assert made["S3 PUT"] + made["S3 LIST"] == pytest.approx(OF_A_QUIET_HOUR.s3_write, rel=0.05)
    assert made["SQS"] + OF_WEB == pytest.approx(OF_A_QUIET_HOUR.sqs, rel=0.05)
    assert made["S3 GET"] == OF_A_QUIET_HOUR.s3_read == 0


def test_reckoned_lists_and_reads_of_workers_are_those_made() -> None:
    world = ScalerWorld(queue=10_000_000)
    ours = scaler(world)
    run(world, [ours], 600)
    before, workers = world.calls.copy(), len(world.workers)
    run(world, [ours], 3600)
    made = world.calls - before
    assert made["S3 LIST"] == pytest.approx(OF_AN_AWAKE_HOUR.s3_write, rel=0.05)
    # A worker reads 1,440 times an hour besides, for requests to drain.
    assert made["S3 GET"] / workers + 1440 == pytest.approx(OF_A_WORKER_HOUR.s3_read, rel=0.05)
