"""When failed programs are restarted, and how supervisor's events are read."""

import pytest

from visionfleet.local.supervisor_restarts import Waits, split_event

EVENT = (
    b"ver:3.0 server:supervisor serial:21 pool:revive poolserial:10 "
    b"eventname:PROCESS_STATE_FATAL len:55\n"
    b"processname:web_00 groupname:web from_state:BACKOFF x:1"
)


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
    waits = Waits()
    assert [waits.failed("web", now) for now in failed_at] == expected, shows


def test_restarts_of_several_programs_over_time() -> None:
    waits = Waits()
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
    waits = Waits()
    waits.failed("web", 0)
    waits.failed("web", 1)
    assert waits.take_due(5) == []
    assert waits.take_due(11) == ["web"]


def test_supervisor_event_is_read_when_complete() -> None:
    header, payload, rest = split_event(EVENT + b"ver:3.0 ") or pytest.fail("not read")
    assert header["eventname"] == "PROCESS_STATE_FATAL"
    assert payload["groupname"] == "web"
    assert payload["processname"] == "web_00"
    assert rest == b"ver:3.0 "


@pytest.mark.parametrize("length", range(len(EVENT)))
def test_partial_supervisor_event_waits_for_the_rest(length: int) -> None:
    assert split_event(EVENT[:length]) is None
