"""What makes a worker drain: the order of checks, and the check for a dead scaler."""

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

from visionfleet.aws.s3 import Store
from visionfleet.classifier.drain_triggers import DrainRequest, DrainTrigger, Orphan, watch
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

    lookouts = [DrainTrigger(5, look("often")), DrainTrigger(10, look("seldom"))]
    dues: list[float] = []
    assert watch(ticks, lookouts, lambda: dues.append(ticks.seconds)) is None
    assert seen == {"often": [0.25, 5.25, 10.25, 15.25], "seldom": [0.25, 10.25]}
    assert len(dues) == 80


def test_first_drain_request_ends_the_watch() -> None:
    wishes = iter([None, None, DrainRequest("enough")])
    ticks = Ticks(1000)
    found = watch(ticks, [DrainTrigger(1, lambda: next(wishes))], lambda: None)
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


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def orphan(shelf: Shelf, clock: Clock) -> Orphan:
    made = Orphan(shelf, 900, lambda: 0, lambda: 0, clock, clock)
    assert made.look() is None
    return made


def lease(expires_at: float) -> bytes:
    return encode(Lease(holder="scaler-1", expires_at=expires_at, term=1)).encode()


def test_lease_is_read_only_after_the_idle_limit(
    orphan: Orphan, shelf: Shelf, clock: Clock
) -> None:
    clock.now = 899
    assert orphan.look() is None
    assert shelf.reads == 0
    clock.now = 900
    wish = orphan.look()
    assert wish is not None
    assert wish.shut_down
    assert "no scaler has left a sign of life" in wish.reason


def test_live_scaler_prevents_idle_shutdown(orphan: Orphan, shelf: Shelf, clock: Clock) -> None:
    clock.now = 2000
    shelf.objects[LEASE_KEY] = lease(2030)
    assert orphan.look() is None
    shelf.objects[LEASE_KEY] = lease(1900)
    assert orphan.look() is not None


def test_unreadable_lease_prevents_idle_shutdown(
    orphan: Orphan, shelf: Shelf, clock: Clock
) -> None:
    clock.now, shelf.failing = 2000, True
    assert orphan.look() is None
    shelf.failing = False
    assert orphan.look() is not None


@pytest.mark.parametrize("body", [b"{}", b"\xff\xfe", b"no JSON"])
def test_broken_lease_counts_as_no_scaler(
    orphan: Orphan, shelf: Shelf, clock: Clock, body: bytes
) -> None:
    clock.now = 2000
    shelf.objects[LEASE_KEY] = body
    shelf.objects[STATUS_KEY] = body
    assert orphan.look() is not None


def test_idle_check_interval_is_short_beside_the_limit() -> None:
    nothing = Shelf()
    slow = Orphan(nothing, 900, lambda: 0, lambda: 0, Clock(), Clock())
    quick = Orphan(nothing, 5, lambda: 0, lambda: 0, Clock(), Clock())
    assert (slow.lookout().every_seconds, quick.lookout().every_seconds) == (30, 1)
