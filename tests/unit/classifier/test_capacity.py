"""A worker's capacity from what its stages were busy for, by examples."""

import pytest

from visionfleet.classifier.capacity import (
    FETCH,
    FINISH,
    MODEL,
    STORE,
    Capacity,
    StageMeter,
    throughput,
)


def meter(
    *calls: tuple[int, float], width: int = 1, batch: int = 8, shared: bool = False
) -> StageMeter:
    made = StageMeter(width, batch, shared)
    for items, seconds in calls:
        made.note(items, seconds)
    return made


@pytest.mark.parametrize(
    ("made", "per_second", "shows"),
    [
        (meter((1, 0.5)), 2, "one image a call: so many of them"),
        (meter((1, 0.05), batch=1, width=8), 160, "eight side by side"),
        (meter((1, 0.1), batch=10, width=2, shared=True), 200, "ten in a call to SQS, as one"),
        (meter((1, 0.5), (1, 30.0), (1, 0.5)), 2, "an outage is no work"),
        (meter((8, 4.0)), 2, "full batches"),
        (meter(*((size, 0.1 + 0.05 * size) for size in (1, 2, 4, 8) * 5)), 8 / 0.5, "a line"),
    ],
)
def test_stage_capacity_by_its_calls(made: StageMeter, per_second: float, shows: str) -> None:
    assert meter().per_second() is None, "nothing is known before a call"
    assert made.per_second() == pytest.approx(per_second, rel=0.05), shows


@pytest.mark.parametrize(
    ("shares", "delay", "in_flight", "per_second"),
    [
        ([0.5], 0.2, 32, 2.0),
        ([0.001], 1.0, 32, 32.0),
        ([0.01, 0.01], 0.0, 1, 50.0),
        ([0.01, 0.02], 0.1, 64, 50.0),
    ],
)
def test_throughput_is_bound_by_stage_or_prefetch(
    shares: list[float], delay: float, in_flight: int, per_second: float
) -> None:
    assert throughput(shares, delay, in_flight) == pytest.approx(per_second, rel=0.05)


def worker(call: float = 0.02, image: float = 0.01) -> Capacity:
    made = Capacity(cores=2)
    meters = made.measure(32, 8)
    for _ in range(20):
        for stage, seconds in ((FETCH, call), (MODEL, image), (STORE, call), (FINISH, 2 * call)):
            meters[stage].note(1, seconds)
    return made


def test_capacity_is_not_the_time_in_hand() -> None:
    """An image is in flight for 0.11 s, and yet a worker does some hundred a second."""
    assert worker().per_second() == pytest.approx(100, rel=0.1)


def test_processor_time_bounds_the_capacity() -> None:
    made, spent = worker(), [5.0]
    made.cpu_seconds = lambda: spent[0]
    made.report(0.0, 0)
    for second in range(1, 5):
        spent[0] += 0.05 * 10
        told, _ = made.report(float(second), 10 * second)
    assert told == pytest.approx(2 / 0.05, rel=0.05), "the 5 s of the start are of no image"


def test_what_a_full_worker_does_corrects_the_estimate() -> None:
    made = worker()
    for step in range(50):
        made.observe(0.25 * step, 30, 10 * step)
    assert made.per_second() == pytest.approx(40, rel=0.05)
    made.observe(20.0, 3, 500)
    made.observe(30.0, 30, 501)
    assert made.per_second() == pytest.approx(40, rel=0.05), "it was not full in between"


def test_busy_share_is_of_the_time_since_the_last_report() -> None:
    made = worker(image=0.1)
    assert made.report(0.0, 0)[1] is None
    capacity, busy = made.report(10.0, 20)
    assert capacity == pytest.approx(10, rel=0.05)
    assert busy == pytest.approx(0.2, rel=0.1)
    assert made.report(20.0, 20)[1] == 0.0


@pytest.mark.parametrize(
    ("call", "image", "enough"), [(0.02, 0.8, 3), (0.02, 0.2, 11), (0.02, 0.01, 32), (1.5, 0.2, 32)]
)
def test_slow_worker_holds_two_seconds_of_work(call: float, image: float, enough: int) -> None:
    made = worker(call, image)
    made.observe(0.0, 0, 0)
    assert made.target_in_flight() == enough


def test_worker_holds_a_batch_until_its_model_has_answered() -> None:
    made = Capacity()
    made.measure(32, 8)[FETCH].note(1, 0.01)
    made.observe(0.0, 8, 0)
    assert made.target_in_flight() == 8
