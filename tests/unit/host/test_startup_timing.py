"""Phases of a start, by a clock that the test sets."""

from visionfleet.host.process import StartupTimer


def test_startup_phase_gets_the_time_since_the_last_one() -> None:
    times = iter([12.0, 12.5, 15.5, 15.5])
    phases = StartupTimer(10.0, lambda: next(times))
    for name in ("start", "aws", "model", "warm_up"):
        phases.end(name)
    assert phases.seconds == {"start": 2.0, "aws": 0.5, "model": 3.0, "warm_up": 0.0}
    assert phases.total() == 5.5


def test_repeated_startup_phase_adds_up() -> None:
    times = iter([1.0, 3.0, 4.0])
    phases = StartupTimer(0.0, lambda: next(times))
    for name in ("model", "aws", "model"):
        phases.end(name)
    assert phases.seconds == {"model": 2.0, "aws": 2.0}


def test_clock_set_back_makes_no_negative_phase() -> None:
    times = iter([1.0, 0.5])
    phases = StartupTimer(0.0, lambda: next(times))
    phases.end("start")
    phases.end("aws")
    assert phases.seconds == {"start": 1.0, "aws": 0.0}
