"""What the fleet used: worker-seconds, images, and the totals of days."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from testkit.fleet.scaler_world import ScalerWorld, run, scaler, status_of
from visionfleet.contract.messages import FleetStatus
from visionfleet.contract.usage import DayUsage, WorkerTime
from visionfleet.cost.prices import PriceTable
from visionfleet.fleet.base import Member
from visionfleet.scaler.usage import KEPT_DAYS, Kind, UsageMeter, Used, added

SPOT: Kind = ("c7i.large", "spot")
MIDNIGHT = datetime(2026, 11, 29, tzinfo=UTC).timestamp()
PRICES = """
date: 2026-11-29
source: nowhere
region: us-east-1
instances: {c7i.large: {vcpus: 2, on_demand: 0.36, spot: 0.036}}
calls: {s3_write: 5, s3_read: 0.4, sqs: 0.4}
"""


def spot(name: str, launched_at: float) -> Member:
    return Member(name, launched_at, market="spot", instance_type="c7i.large")


def billed(meter: UsageMeter, members: Sequence[Member], now: float, minimum: float = 60) -> float:
    """Read at a time that both clocks show."""
    return meter.read(members, 0.0, minimum, now, now).worker_seconds.get(SPOT, 0.0)


def test_instance_is_billed_from_launch_and_a_minute_at_least() -> None:
    meter = UsageMeter()
    assert billed(meter, [], 100) == 0
    assert billed(meter, [spot("i-1", 101)], 104) == 60
    assert billed(meter, [spot("i-1", 101)], 108) == 0
    assert billed(meter, [spot("i-1", 101)], 171) == 10
    assert billed(meter, [], 175) == 0


def test_ledger_and_list_date_one_launch_differently() -> None:
    meter = UsageMeter()
    billed(meter, [], 100)
    assert billed(meter, [spot("i-1", 100.2)], 104) == 60
    assert billed(meter, [spot("i-1", 103.0)], 108) == 0


def test_stopping_workers_and_slots_started_again() -> None:
    meter = UsageMeter()
    billed(meter, [], 100, 0)
    assert billed(meter, [spot("i-1", 101)], 111, 0) == 10
    assert billed(meter, [Member("i-1", 101, "stopping")], 115, 0) == 0
    assert billed(meter, [spot("i-1", 116)], 119, 0) == 3


@pytest.mark.parametrize(
    ("gap", "launched_at", "seconds"),
    [
        (0.0, 100, 0),  # there was no status: what was before us is nobody's
        (50.0, 100, 50),  # the earlier scaler has booked the rest
        (50.0, 970, 60),  # launched since, and not a minute old
        (5000.0, 100, 900),
        (950.0, 40, 900),  # its first minute was booked, which is longer than it was there
    ],
)
def test_next_scaler_books_what_was_not(gap: float, launched_at: float, seconds: float) -> None:
    meter = UsageMeter()
    meter.begin(gap)
    assert billed(meter, [spot("i-1", launched_at)], 1000) == seconds


def test_clock_that_is_set_bills_nothing() -> None:
    meter = UsageMeter()
    meter.read([spot("i-1", 100)], 0.0, 60, 1000, 200)
    used = meter.read([spot("i-1", 100)], 0.0, 60, 1004, 9_999_999)
    assert used.worker_seconds == {SPOT: 4}
    used = meter.read([spot("i-1", 100), spot("i-2", 0)], 0.0, 0, 1008, 9_999_999)
    assert used.worker_seconds == {SPOT: 8}, "no older than the last look"


def test_images_are_counted_once_and_whole() -> None:
    meter = UsageMeter()
    totals = [meter.read([], handled, 0, at, at).images for at, handled in enumerate(
        [500.0, 500.6, 501.2, 500.9, 503.0]
    )]  # fmt: skip
    assert totals == [0, 0, 1, 0, 2]


def test_days_add_up_and_old_ones_go() -> None:
    days: tuple[DayUsage, ...] = ()
    for number in range(40):
        for _ in range(2):
            now = MIDNIGHT + number * 86400
            days = added(days, Used(3, 4.0, 4.0, {SPOT: 4.0, (None, None): 1.5}), now)
    assert len(days) == KEPT_DAYS
    assert days[-1] == DayUsage(
        day="2027-01-07",
        images=6,
        scaler_seconds=8.0,
        awake_seconds=8.0,
        workers=(
            WorkerTime(instance_type="c7i.large", market="spot", seconds=8.0),
            WorkerTime(seconds=3.0),
        ),
    )


def test_status_keeps_usage_over_a_change_of_scalers() -> None:
    world = ScalerWorld(queue=100_000)
    first = scaler(world, "a")
    first.prices = PriceTable.read(PRICES)
    run(world, [first], 600)
    before = FleetStatus.model_validate_json(world.objects["fleet/status.json"][0])
    first.leader_lease.release()
    run(world, [scaler(world, "b")], 600)
    after = FleetStatus.model_validate_json(world.objects["fleet/status.json"][0])
    seconds = sum(time.seconds for day in after.usage for time in day.workers)
    alive = sum(world.now - worker.launched_at for worker in world.workers.values())
    assert seconds == pytest.approx(alive, abs=4 * 12), "all but the last looks"
    assert before.cost is not None
    assert before.cost.periods[0].unpriced == ("workers that are not on EC2",)
    assert "usage" in status_of(world)
