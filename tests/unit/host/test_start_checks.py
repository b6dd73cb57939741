"""The check at a daemon's start: what is waited for, and what ends it."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from testkit.aws.fakes import Clock
from visionfleet.errors import Denied, GiveUp, NotFound, TryLater
from visionfleetd import startup

LOG = logging.getLogger("test")


class Stop(threading.Event):
    """A stop that does not come; waiting for it takes time of the clock alone."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, seconds: float | None = None) -> bool:
        self.clock.now += seconds or 0.0
        return self.is_set()


def check(*errors: Exception) -> Callable[[], str]:
    """Make a check that fails so, then succeeds."""
    left = list(errors)

    def look() -> str:
        if left:
            raise left.pop(0)
        return "there"

    return look


def answer(*errors: Exception) -> tuple[object, float]:
    """The answer of a check, and after how many seconds it came."""
    clock = Clock(0.0)
    stop = Stop(clock)
    found = startup.answered(check(*errors), stop, LOG, Random(1), clock=clock)
    return found, clock.now


def test_outage_of_any_length_is_waited_for() -> None:
    found, seconds = answer(*[TryLater("503")] * 200)
    assert found == "there"
    assert seconds > 900


def test_role_that_is_late_is_waited_for() -> None:
    assert answer(*[Denied("no credentials")] * 10)[0] == "there"
    assert answer(*[TryLater("503")] * 100, *[Denied("403")] * 10)[0] == "there"


def test_role_that_never_comes_ends_the_start_after_two_minutes() -> None:
    clock = Clock(0.0)
    with pytest.raises(SystemExit) as ended:
        startup.answered(check(*[Denied("403")] * 999), Stop(clock), LOG, Random(1), clock=clock)
    assert ended.value.code == 1
    assert 120 <= clock.now < 140


@pytest.mark.parametrize("error", [NotFound("no queue"), GiveUp("301")])
def test_what_is_missing_or_wrong_ends_the_start_at_once(error: Exception) -> None:
    with pytest.raises(SystemExit):
        answer(error)


def test_stop_ends_the_wait() -> None:
    stop = threading.Event()
    stop.set()
    startup.verify([check()], stop, LOG, Random(1))
    with pytest.raises(startup.Stopped) as ended:
        startup.verify([check(TryLater("503"))], stop, LOG, Random(1))
    assert ended.value.code == 0


def test_stop_ends_a_start_whose_call_hangs() -> None:
    stop, hung, over = threading.Event(), threading.Event(), threading.Event()

    def hang() -> bool:
        hung.set()
        return over.wait(60)

    with ThreadPoolExecutor(1) as threads:
        starting = threads.submit(startup.verify, [hang], stop, LOG, Random(1))
        assert hung.wait(10)
        stop.set()
        with pytest.raises(startup.Stopped):
            starting.result(10)
    over.set()
