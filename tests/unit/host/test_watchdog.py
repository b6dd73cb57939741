"""Which loops make progress, and what systemd is told."""

import pytest

from testkit.aws.fakes import Clock
from visionfleet.host.watchdog import (
    Pace,
    Watchdog,
    classifier_status,
    extend_timeout,
    notification,
    period_seconds,
    web_status,
)

ALLOWED = {"receive loop": 100.0, "model": 60.0}


@pytest.mark.parametrize(
    ("steps", "after_seconds", "stuck"),
    [
        ([], 1e6, []),  # nothing has begun
        (["receive loop"], 100.0, []),  # a long poll
        (["receive loop"], 101.0, ["the receive loop has been at one step for 101 s"]),
        (["receive loop", "-receive loop"], 1e6, []),  # it holds what it may, S3 is away
        (["model", "-model"], 1e6, []),  # idle
        (["model"], 60.0, []),  # a slow batch
        (["model"], 61.0, ["the model has been at one step for 61 s"]),
        (["model", "-model", "model"], 61.0, ["the model has been at one step for 61 s"]),
        (["another"], 1e6, []),  # nobody judges it
        (
            ["receive loop", "model"],
            500.0,
            [f"the {loop} has been at one step for 500 s" for loop in ALLOWED],
        ),
    ],
)
def test_watchdog_notices_stuck_loops(
    steps: list[str], after_seconds: float, stuck: list[str]
) -> None:
    clock = Clock(1000.0)
    loops = Watchdog(clock, ALLOWED)
    for step in steps:
        if step.startswith("-"):
            loops.rest(step[1:])
        else:
            loops.step(step)
    clock.now += after_seconds
    assert loops.stuck() == stuck


def test_watchdog_step_has_its_own_limit() -> None:
    clock = Clock(1000.0)
    loops = Watchdog(clock, ALLOWED)
    for _ in range(10):
        loops.step("model")
        clock.now += 50
        assert loops.stuck() == []
    clock.now += 11
    assert loops.stuck() != []
    loops.step("model")
    assert loops.stuck() == []


@pytest.mark.parametrize(
    ("status", "told", "watched", "stuck", "lines"),
    [
        ("idle", "", False, False, ["STATUS=idle"]),
        ("idle", "idle", False, False, []),
        ("busy", "idle", True, False, ["STATUS=busy", "WATCHDOG=1"]),
        ("busy", "busy", True, False, ["WATCHDOG=1"]),
        ("busy", "busy", True, True, ["WATCHDOG=trigger"]),
        ("busy", "busy", False, True, []),
    ],
)
def test_watchdog_and_status_messages(
    status: str, told: str, watched: bool, stuck: bool, lines: list[str]
) -> None:
    assert notification(status, told, watched, stuck) == lines


@pytest.mark.parametrize(
    ("watchdog", "period"), [(None, 5.0), (180.0, 5.0), (20.0, 5.0), (2.0, 0.5)]
)
def test_watchdog_is_kicked_twice_per_interval(watchdog: float | None, period: float) -> None:
    assert period_seconds(watchdog) == period
    assert watchdog is None or period <= watchdog / 2


def test_startup_extension_is_in_microseconds() -> None:
    assert extend_timeout(30.5) == "EXTEND_TIMEOUT_USEC=30500000"


def test_status_rate_covers_the_last_seconds() -> None:
    pace = Pace()
    seen = [pace.per_second(count, at) for at, count in [(0, 0), (5, 50), (10, 100), (15, 100)]]
    assert seen == [0, 10, 10, 5]
    assert pace.per_second(100, 20) == 0
    assert pace.per_second(101, 120) == pytest.approx(0.01)


def test_status_lines_for_systemctl() -> None:
    assert web_status([], 3, 1234, 8.27) == "ready: 3 in flight, 1234 jobs answered, 8.3 jobs/s"
    reasons = ["stopping", "S3 or SQS do not answer"]
    assert web_status(reasons, 0, 7, 0.0) == (
        "not ready: stopping; S3 or SQS do not answer: 0 in flight, 7 jobs answered"
    )
    assert classifier_status("busy", 12, 340, 35.04, "resnet18") == (
        "busy: 12 in flight, 340 answered, 35.0 images/s, model resnet18"
    )
    assert classifier_status("idle", 0, 0, 0.0, "default") == (
        "idle: 0 in flight, 0 answered, model default"
    )
