"""The visibility heartbeat: held messages stay invisible, released ones are never extended."""

import threading
from collections.abc import Sequence
from typing import cast

import pytest

from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.errors import LeaseLost, TryLater, VisionfleetError


class StubbornQueue:
    """Notes every extension; loses, fails or blocks on demand."""

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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def queue() -> StubbornQueue:
    return StubbornQueue()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(queue: StubbornQueue, clock: Clock) -> VisibilityHeartbeat:
    return VisibilityHeartbeat(
        cast("Queue", queue), visibility_seconds=30, max_seconds=100, clock=clock
    )


def message(receipt: str) -> Received:
    return Received(message_id=f"id-{receipt}", body="", receipt=receipt, receive_count=1)


def beat(keeper: VisibilityHeartbeat, clock: Clock, until: float) -> None:
    while clock.now < until:
        clock.now += keeper.tick_seconds
        keeper.beat()


def test_visibility_is_extended_before_it_expires(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lease = keeper.hold(message("a"), clock.now)
    beat(keeper, clock, 19)
    assert queue.extended == []
    beat(keeper, clock, 90)
    assert len(queue.extended) == 4, "about every 20 s of 30"
    assert lease.expires_at > clock.now
    assert not lease.lost


def test_visibility_of_a_hung_job_is_not_extended(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lease = keeper.hold(message("a"), clock.now)
    beat(keeper, clock, 200)
    assert lease.lost
    assert keeper.count() == 0
    assert len(queue.extended) == 4, "none after the 100 s that a message may be held"


def test_lost_delivery_is_logged_and_others_are_extended(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lost, kept = (keeper.hold(message(name), clock.now) for name in "ab")
    queue.lost = {"a"}
    beat(keeper, clock, 50)
    assert (lost.lost, kept.lost) == (True, False)
    assert queue.extended.count("a") == 1
    assert queue.extended.count("b") == 2


def test_failed_visibility_heartbeat_is_retried(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lease = keeper.hold(message("a"), clock.now)
    queue.failing = True
    beat(keeper, clock, 25)
    queue.failing = False
    beat(keeper, clock, 27)
    assert len(queue.extended) == 1
    assert not lease.lost


def test_released_delivery_is_not_extended(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    lease = keeper.hold(message("a"), clock.now)
    keeper.release([lease])
    beat(keeper, clock, 60)
    assert queue.extended == []


def test_release_waits_for_the_running_heartbeat(
    keeper: VisibilityHeartbeat, queue: StubbornQueue, clock: Clock
) -> None:
    """Otherwise the late extension would undo the visibility that is set after the release."""
    lease = keeper.hold(message("a"), clock.now)
    clock.now = 25.0
    queue.may_go.clear()
    beating = threading.Thread(target=keeper.beat)
    beating.start()
    assert queue.entered.wait(10)
    released = threading.Event()
    releasing = threading.Thread(target=lambda: (keeper.release([lease]), released.set()))
    releasing.start()
    assert not released.wait(0.1)
    queue.may_go.set()
    assert released.wait(10)
    beating.join(10)
    releasing.join(10)
    assert queue.extended == ["a"]
