"""The visibility heartbeat: held messages stay invisible, released ones are never extended."""

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from testkit.aws.fakes import Clock
from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier.in_flight import Delivery, InFlight
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.errors import LeaseLost, TryLater, VisionfleetError


class StubbornQueue:
    """Journal every extension; loses, fails or blocks on demand."""

    def __init__(self) -> None:
        self.extended: list[str] = []
        self.lost: set[str] = set()
        self.failing = False
        self.entered = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def extend(self, receipts: Sequence[str], seconds: int) -> dict[str, VisionfleetError]:
        self.entered.set()
        assert self.may_go.wait(10)
        if self.failing:
            raise TryLater("throttled")
        self.extended += receipts
        return {receipt: LeaseLost("expired") for receipt in receipts if receipt in self.lost}


@pytest.fixture
def queue() -> StubbornQueue:
    return StubbornQueue()


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight(10)


@pytest.fixture
def heartbeat(queue: StubbornQueue, in_flight: InFlight, clock: Clock) -> VisibilityHeartbeat:
    return VisibilityHeartbeat(
        cast("Queue", queue),
        in_flight,
        visibility_seconds=30,
        max_seconds=100,
        clock=clock,
        metrics=ClassifierMetrics(),
    )


def take(heartbeat: VisibilityHeartbeat, *receipts: str) -> list[Delivery]:
    messages = [Received(f"id-{receipt}", "", receipt, 1) for receipt in receipts]
    now = heartbeat.clock()
    return heartbeat.in_flight.begin(messages, now, now + heartbeat.visibility_seconds)


def end(heartbeat: VisibilityHeartbeat, delivery: Delivery) -> None:
    with heartbeat.in_flight.ending([delivery]):
        pass


def beat(heartbeat: VisibilityHeartbeat, clock: Clock, until: float) -> None:
    while clock.now < until:
        clock.now += heartbeat.tick_seconds
        heartbeat.beat()


def test_visibility_is_extended_before_it_expires(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    (delivery,) = take(heartbeat, "a")
    beat(heartbeat, clock, 19)
    assert queue.extended == []
    beat(heartbeat, clock, 90)
    assert len(queue.extended) == 4, "about every 20 s of 30"
    assert delivery.expires_at > clock.now
    assert not delivery.lost


def test_visibility_of_a_hung_job_is_not_extended(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    (delivery,) = take(heartbeat, "a")
    beat(heartbeat, clock, 200)
    assert delivery.lost
    assert heartbeat.in_flight.held() == []
    assert len(queue.extended) == 4, "none after the 100 s that a message may be held"


def test_outage_is_nobodys_time_also_of_those_that_wait(
    heartbeat: VisibilityHeartbeat, clock: Clock
) -> None:
    """Two threads may meet one outage; it is counted once."""
    (early,) = take(heartbeat, "a")
    for began in (0.0, 1.0, 50.0, 50.0):
        heartbeat.in_flight.discount_outage(began, began + 50.0)
    beat(heartbeat, clock, 150)
    (late,) = take(heartbeat, "b")
    heartbeat.in_flight.discount_outage(140.0, 170.0)
    assert early.received_at == pytest.approx(130.0)
    assert late.received_at == 170.0
    beat(heartbeat, clock, 229)
    assert not early.lost
    beat(heartbeat, clock, 260)
    assert (early.lost, late.lost) == (True, False)


def test_lost_delivery_is_logged_and_others_are_extended(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lost, kept = take(heartbeat, "a", "b")
    queue.lost = {"a"}
    beat(heartbeat, clock, 50)
    assert (lost.lost, kept.lost) == (True, False)
    assert queue.extended.count("a") == 1
    assert queue.extended.count("b") == 2


def test_failed_visibility_heartbeat_is_retried(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    (delivery,) = take(heartbeat, "a")
    queue.failing = True
    beat(heartbeat, clock, 25)
    queue.failing = False
    beat(heartbeat, clock, 27)
    assert len(queue.extended) == 1
    assert not delivery.lost


def test_released_delivery_is_not_extended(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    (delivery,) = take(heartbeat, "a")
    end(heartbeat, delivery)
    beat(heartbeat, clock, 60)
    assert queue.extended == []


def test_release_waits_for_the_running_heartbeat(
    heartbeat: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    """Otherwise the late extension would undo the visibility that is set after the release."""
    (delivery,) = take(heartbeat, "a")
    clock.now = 25.0
    queue.may_go.clear()
    beating = threading.Thread(target=heartbeat.beat)
    beating.start()
    assert queue.entered.wait(10)
    releasing = threading.Thread(target=end, args=(heartbeat, delivery))
    releasing.start()
    releasing.join(0.1)
    assert releasing.is_alive()
    queue.may_go.set()
    releasing.join(10)
    assert not releasing.is_alive()
    beating.join(10)
    assert queue.extended == ["a"]
