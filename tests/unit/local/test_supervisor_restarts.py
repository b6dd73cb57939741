"""When failed programs are restarted."""

import pytest

from visionfleet.local.supervisor_restarts import RestartBackoff


@pytest.mark.parametrize(
    ("shows", "failed_at", "expected"),
    [
        ("the first failure waits 5 s", [0], [5]),
        ("the wait doubles up to 60 s", [0, 20, 40, 80, 160, 250], [5, 10, 20, 40, 60, 60]),
        ("a failure just inside the limit still counts", [0, 305], [5, 10]),
        ("a failure long after the last one starts anew", [0, 20, 40, 361], [5, 10, 20, 5]),
        ("the limit is counted from the end of the wait", [0, 20, 40, 360], [5, 10, 20, 40]),
        ("two failures at one instant", [0, 0], [5, 10]),
    ],
)
def test_restart_waits_grow(shows: str, failed_at: list[float], expected: list[float]) -> None:
    waits = RestartBackoff()
    assert [waits.failed("web", now) for now in failed_at] == expected, shows


def test_restarts_of_several_programs_over_time() -> None:
    waits = RestartBackoff()
    assert waits.seconds_to_next(0) is None
    assert waits.take_due(0) == []

    waits.failed("web", 0)
    waits.failed("scaler", 2)
    assert waits.seconds_to_next(2) == 3
    assert waits.take_due(4.9) == []

    assert waits.take_due(5) == ["web"]
    assert waits.take_due(5) == [], "one failure is one start"
    assert waits.seconds_to_next(5) == 2

    waits.failed("web", 6)  # its wait is 10 s now; the other's is not changed by that
    assert waits.seconds_to_next(6) == 1
    assert waits.seconds_to_next(9) == 0, "late, not negative"
    assert waits.take_due(20) == ["scaler", "web"]
    assert waits.seconds_to_next(20) is None


def test_second_failure_postpones_the_restart() -> None:
    waits = RestartBackoff()
    waits.failed("web", 0)
    waits.failed("web", 1)
    assert waits.take_due(5) == []
    assert waits.take_due(11) == ["web"]
