"""How supervisor's events are read."""

import pytest

from visionfleet.local.supervisor_events import split_event

EVENT = (
    b"ver:3.0 server:supervisor serial:21 pool:revive poolserial:10 "
    b"eventname:PROCESS_STATE_FATAL len:55\n"
    b"processname:web_00 groupname:web from_state:BACKOFF x:1"
)


def test_supervisor_event_is_read_when_complete() -> None:
    event, rest = split_event(EVENT + b"ver:3.0 ") or pytest.fail("not read")
    assert event.name == "PROCESS_STATE_FATAL"
    assert event.payload["groupname"] == "web"
    assert event.payload["processname"] == "web_00"
    assert rest == b"ver:3.0 "


@pytest.mark.parametrize("length", range(len(EVENT)))
def test_partial_supervisor_event_waits_for_the_rest(length: int) -> None:
    assert split_event(EVENT[:length]) is None
