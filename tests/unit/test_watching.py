"""What the scaler makes of members and reports, and what it writes down."""

import pytest

from visionfleet.fleet import Member, MemberState
from visionfleet.messages import FleetStatus, WorkerReport, WorkerState
from visionfleet.scaling import Decision, Observation, State
from visionfleet.watching import observe, status, worker, worth_writing


def report(state: WorkerState, started_at: float = 100.0, handled: int = 0) -> WorkerReport:
    return WorkerReport(
        worker="w",
        state=state,
        since=110.0,
        reported_at=120.0,
        started_at=started_at,
        boot_seconds=4.0,
        handled=handled,
        service_seconds=0.5 if handled else None,
        version="1",
        host="h",
    )


@pytest.mark.parametrize(
    ("member", "told", "asked", "state", "shows"),
    [
        ("running", None, False, "booting", "no report yet"),
        ("running", report("idle", started_at=50.0), False, "booting", "of an earlier life"),
        ("running", report("idle"), False, "idle", "as it says"),
        ("running", report("busy"), False, "busy", "as it says"),
        ("running", report("idle"), True, "draining", "asked, and has not read it yet"),
        ("running", report("drained"), True, "drained", "as it says"),
        ("running", report("stopped"), False, "stopping", "ends by itself"),
        ("stopping", report("drained"), True, "stopping", "its fleet is ending it"),
        ("failed", report("idle"), False, "failed", "its fleet gave up on it for now"),
    ],
)
def test_states(
    member: MemberState, told: WorkerReport | None, asked: bool, state: State, shows: str
) -> None:
    assert worker(Member("w", 100.0, member), told, asked).state == state, shows


def test_means_are_weighted_by_work_and_unknown_without() -> None:
    assert observe(0, 0, (), [report("idle")]).service_seconds is None
    seen = observe(0, 0, (), [report("idle"), report("busy", handled=10)])
    assert (seen.service_seconds, seen.boot_seconds) == (0.5, 4.0)


def look(visible: int, at: float, before: FleetStatus | None, reason: str = "") -> FleetStatus:
    decision = Decision(launch=1 if reason else 0, reason=reason or "hold")
    return status(Observation(visible, 0, ()), decision, (0, 19), before, at)


def test_history_keeps_what_changed_for_an_hour() -> None:
    first = look(0, 0.0, None)
    same = look(0, 10.0, first)
    assert len(same.history) == 1
    more = look(5, 20.0, same, reason="launch 1")
    assert [(entry.visible, entry.reason) for entry in more.history] == [(0, ""), (5, "launch 1")]
    later = look(5, 3700.0, more)
    assert [entry.at for entry in later.history] == [3700.0]


def test_the_last_decision_stays_until_there_is_another() -> None:
    launched = look(5, 1.0, look(0, 0.0, None), reason="launch 1")
    held = look(4, 2.0, launched)
    assert (held.decision, held.decided_at) == ("launch 1", 1.0)


def test_an_unchanged_status_is_written_once_a_minute() -> None:
    first = look(0, 0.0, None)
    assert worth_writing(first, None, 60)
    assert not worth_writing(look(0, 59.0, first), first, 60)
    assert worth_writing(look(0, 60.0, first), first, 60)
    assert worth_writing(look(1, 1.0, first), first, 60)
