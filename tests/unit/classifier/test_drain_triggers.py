"""What makes a worker drain: the order of checks, and the check for a dead scaler."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from testkit.aws.fakes import Clock
from visionfleet.aws.s3 import Store
from visionfleet.classifier.drain_triggers import (
    DrainRequest,
    DrainTrigger,
    IdleShutdown,
    scaler_request,
    watch,
)
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.config.classifier import ClassifierSection
from visionfleet.contract.messages import Lease, encode
from visionfleet.contract.names import LEASE_KEY, STATUS_KEY
from visionfleet.errors import TryLater


class Ticks(threading.Event):
    """A stop event whose waits take no time; it is set after so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        self.left -= 1
        return self.left < 0


def test_each_drain_trigger_has_its_own_interval() -> None:
    seen: dict[str, list[float]] = {"often": [], "seldom": []}
    ticks = Ticks(80)

    def look(name: str) -> Callable[[], DrainRequest | None]:
        return lambda: seen[name].append(ticks.seconds)

    triggers = [DrainTrigger(5, look("often")), DrainTrigger(10, look("seldom"))]
    dues: list[float] = []
    assert watch(ticks, triggers, lambda: dues.append(ticks.seconds)) is None
    assert seen == {"often": [0.25, 5.25, 10.25, 15.25], "seldom": [0.25, 10.25]}
    assert len(dues) == 80


def test_first_drain_request_ends_the_watch() -> None:
    requests = iter([None, None, DrainRequest("enough")])
    ticks = Ticks(1000)
    found = watch(ticks, [DrainTrigger(1, lambda: next(requests))], lambda: None)
    assert found == DrainRequest("enough")
    assert ticks.seconds == 2.25


def test_short_drain_check_interval_is_kept() -> None:
    looks: list[float] = []
    ticks = Ticks(10)
    watch(ticks, [DrainTrigger(0.1, lambda: looks.append(ticks.seconds))], lambda: None)
    assert len(looks) == 10


class Shelf(Store):
    """Objects by key; fails on demand and counts the reads."""

    def __init__(self) -> None:
        super().__init__(cast("Any", None), "results")
        self.objects: dict[str, bytes] = {}
        self.failing = False
        self.reads = 0

    def find(self, key: str) -> bytes | None:
        self.reads += 1
        if self.failing:
            raise TryLater("slow down")
        return self.objects.get(key)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def idle_shutdown(shelf: Shelf, clock: Clock) -> IdleShutdown:
    made = idle(shelf, clock, 900)
    assert made.look() is None
    return made


def idle(shelf: Shelf, clock: Clock, limit_seconds: float) -> IdleShutdown:
    settings = ClassifierSection(idle_shutdown_seconds=limit_seconds)
    return IdleShutdown(shelf, settings, WorkCounts, lambda: 0, clock, clock)


def lease(expires_at: float) -> bytes:
    return encode(Lease(holder="scaler-1", expires_at=expires_at, term=1)).encode()


def test_lease_is_read_only_after_the_idle_limit(
    idle_shutdown: IdleShutdown, shelf: Shelf, clock: Clock
) -> None:
    clock.now = 899
    assert idle_shutdown.look() is None
    assert shelf.reads == 0
    clock.now = 900
    request = idle_shutdown.look()
    assert request is not None
    assert request.shut_down
    assert "no scaler has left a sign of life" in request.reason


def test_live_scaler_prevents_idle_shutdown(
    idle_shutdown: IdleShutdown, shelf: Shelf, clock: Clock
) -> None:
    clock.now = 2000
    shelf.objects[LEASE_KEY] = lease(2030)
    assert idle_shutdown.look() is None
    shelf.objects[LEASE_KEY] = lease(1900)
    assert idle_shutdown.look() is not None


def test_unreadable_lease_prevents_idle_shutdown(
    idle_shutdown: IdleShutdown, shelf: Shelf, clock: Clock
) -> None:
    clock.now, shelf.failing = 2000, True
    assert idle_shutdown.look() is None
    shelf.failing = False
    assert idle_shutdown.look() is not None


@pytest.mark.parametrize("body", [b"{}", b"\xff\xfe", b"no JSON"])
def test_broken_lease_counts_as_no_scaler(
    idle_shutdown: IdleShutdown, shelf: Shelf, clock: Clock, body: bytes
) -> None:
    clock.now = 2000
    shelf.objects[LEASE_KEY] = body
    shelf.objects[STATUS_KEY] = body
    assert idle_shutdown.look() is not None


def test_idle_check_interval_is_short_beside_the_limit() -> None:
    nothing = Shelf()
    slow = idle(nothing, Clock(0.0), 900)
    quick = idle(nothing, Clock(0.0), 5)
    assert (slow.trigger().every_seconds, quick.trigger().every_seconds) == (30, 1)


DRAIN_KEY = "fleet/drain/w0"


@pytest.mark.parametrize(
    ("body", "drains"),
    [
        (None, False),
        (b"1000.5", True),
        (b"998.5", True),  # two clocks
        (b"997.5", False),  # of the worker that had the name before
        (b"", False),
        (b"nan", False),
        (b"\xff", False),
    ],
)
def test_scaler_asks_for_a_drain(shelf: Shelf, body: bytes | None, drains: bool) -> None:
    trigger = scaler_request(shelf, "w0", lambda: 1000.0, 5)
    if body is not None:
        shelf.objects[DRAIN_KEY] = body
    assert trigger.look() == (DrainRequest("asked to") if drains else None)


def test_failed_drain_check_is_retried(shelf: Shelf) -> None:
    trigger = scaler_request(shelf, "w0", lambda: 1000.0, 5)
    shelf.objects[DRAIN_KEY], shelf.failing = b"1000.5", True
    assert trigger.look() is None
    shelf.failing = False
    assert trigger.look() == DrainRequest("asked to")
