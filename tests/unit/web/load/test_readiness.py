"""Readiness over time."""

from testkit.aws.fakes import Clock
from visionfleet.web.load.readiness import FAILURE_SECONDS, FAILURES, Readiness


def readiness(clock: Clock) -> Readiness:
    made = Readiness(poll_limit_seconds=35, clock=clock)
    made.started = True
    return made


def test_readiness_at_start_and_stop() -> None:
    fresh = Readiness(35, Clock(1000.0))
    assert fresh.reasons() == ["starting"]
    fresh.started = True
    assert fresh.reasons() == []
    fresh.stopping = True
    assert fresh.reasons() == ["stopping"]


def test_readiness_needs_a_readable_reply_queue() -> None:
    clock = Clock(1000.0)
    made = readiness(clock)
    clock.now += 35
    assert made.reasons() == []
    clock.now += 1
    assert made.reasons() == ["the reply queue has not answered for 36 s"]
    made.polled_at = clock()
    assert made.reasons() == []


def test_readiness_ends_after_failures_in_a_row() -> None:
    made = readiness(Clock(1000.0))
    for _ in range(FAILURES - 1):
        made.failures.append(made.clock())
    assert made.reasons() == []
    made.failures.append(made.clock())
    assert made.reasons() == ["S3 or SQS refused the last 3 uploads"]
    made.failures.clear()
    assert made.reasons() == []


def test_readiness_survives_single_failures() -> None:
    made = readiness(Clock(1000.0))
    for _ in range(FAILURES):
        made.failures.append(made.clock())
        made.failures.clear()
    assert made.reasons() == []


def test_readiness_returns_after_failures() -> None:
    clock = Clock(1000.0)
    made = readiness(clock)
    for _ in range(FAILURES):
        made.failures.append(made.clock())
    clock.now += FAILURE_SECONDS
    made.polled_at = clock()
    assert made.reasons() != []
    clock.now += 0.1
    assert made.reasons() == []
