"""What the scaler derives from fleet members and reports, and the status it writes."""

import pytest

from testkit.fleet.policies import policy
from visionfleet.contract.messages import FleetStatus, Lease, WorkerReport, WorkerState
from visionfleet.fleet.base import Member, MemberState
from visionfleet.scaler.decision import Decision, History, Observation, State, Worker
from visionfleet.scaler.incarnations import DRAIN_UNREAD_SECONDS, Incarnation, SeenReport, worker
from visionfleet.scaler.learned_times import service_seconds
from visionfleet.scaler.sizing import decide, wanted
from visionfleet.scaler.status import fleet_status, worth_writing

POLICY = policy(19, boot_seconds=30)
LEASE = Lease(holder="h", expires_at=0.0, term=3)


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


# Launched at 100 by its fleet's clock and first seen at 1000 by ours, which says 1020 now.
INCARNATION = Incarnation(launched_at=100.0, began_at=990.0, seen_at=1000.0)
NOW = 1020.0


@pytest.mark.parametrize(
    ("member", "told", "state", "shows"),
    [
        ("running", SeenReport(), "booting", "no report yet"),
        (
            "running",
            SeenReport(report("idle", 50.0), 1000.0),
            "booting",
            "of an earlier incarnation",
        ),
        (
            "running",
            SeenReport(report("idle", 50.0), 1010.0),
            "idle",
            "its clock is wrong: it changed",
        ),
        ("running", SeenReport(report("idle"), 1000.0), "idle", "as it says"),
        ("running", SeenReport(report("busy"), 1010.0), "busy", "as it says"),
        ("running", SeenReport(report("idle"), 1010.0, 1015.0), "draining", "has not read it yet"),
        (
            "running",
            SeenReport(report("idle"), 1010.0, 999.0),
            "idle",
            "an earlier incarnation was asked",
        ),
        ("running", SeenReport(report("drained"), 1010.0, 1005.0), "drained", "as it says"),
        ("running", SeenReport(report("stopped"), 1010.0), "stopping", "ends by itself"),
        ("stopping", SeenReport(report("drained"), 1010.0), "stopping", "its fleet is ending it"),
        ("failed", SeenReport(report("idle"), 1010.0), "failed", "its fleet gave up on it for now"),
    ],
)
def test_worker_state_by_report_and_instance(
    member: MemberState, told: SeenReport, state: State, shows: str
) -> None:
    assert worker(Member("w", 100.0, member), INCARNATION, told, 0.0, NOW).state == state, shows


def test_request_that_is_never_read_counts_no_longer() -> None:
    told = SeenReport(report("idle"), 1010.0, 1005.0)
    member = Member("w", 100.0)
    assert worker(member, INCARNATION, told, 0.0, 1005.0 + DRAIN_UNREAD_SECONDS).state == "draining"
    assert worker(member, INCARNATION, told, 0.0, 1006.0 + DRAIN_UNREAD_SECONDS).state == "idle"


def test_times_are_of_the_scalers_clock() -> None:
    found = worker(Member("w", 100.0), INCARNATION, SeenReport(report("idle"), 1010.0), 0.0, NOW)
    assert (found.reported_at, found.launched_at) == (1010.0, 990.0)
    assert found.since == 1000.0, "10 s before it reported"


def test_worker_without_progress_is_no_capacity() -> None:
    member = Member("w", 100.0, "running")
    for state in ("busy", "draining"):
        stuck = report(state).model_copy(update={"stuck": "the store-3 has been at one step"})
        assert worker(member, INCARNATION, SeenReport(stuck, 1010.0), 0.0, NOW).state == "stuck"
    ended = report("stopped").model_copy(update={"stuck": "the store-3 has been at one step"})
    assert worker(member, INCARNATION, SeenReport(ended, 1010.0), 0.0, NOW).state == "stopping"


def test_worker_silence_counts_from_the_end_of_an_outage() -> None:
    member = Member("w", 100.0)

    def seen(told: SeenReport, readable_since: float) -> Worker:
        return worker(member, INCARNATION, told, readable_since, 2000.0)

    assert seen(SeenReport(report("busy"), 1010.0), 50.0).reported_at == 1010.0
    assert seen(SeenReport(report("busy"), 1010.0), 1700.0).reported_at == 1700.0
    paid = seen(SeenReport(report("busy"), 1010.0), 1700.0).launched_at
    assert paid == 990.0, "what is paid is paid"
    assert seen(SeenReport(), 1700.0).launched_at == 1700.0, "it may have booted meanwhile"
    assert seen(SeenReport(report("booting"), 1010.0), 1700.0).launched_at == 1700.0


def test_mean_service_time_is_weighted_by_work() -> None:
    assert service_seconds([report("idle")]) is None
    assert service_seconds([report("idle"), report("busy", handled=10)]) == 0.5


def test_capacity_is_what_adds_up() -> None:
    """Of one that does 100 a second and one that does 10, each counts for 55."""
    quick = report("busy", handled=10).model_copy(update={"capacity_per_second": 100.0})
    slow = report("busy", handled=990).model_copy(update={"capacity_per_second": 10.0})
    assert service_seconds([quick, slow]) == pytest.approx(1 / 55)
    older = report("busy", handled=990)
    assert service_seconds([quick, older]) == pytest.approx(0.01)


def look(visible: int, at: float, before: FleetStatus | None, reason: str = "") -> FleetStatus:
    decision = Decision(launch=1 if reason else 0, reason=reason or "hold")
    return fleet_status(
        Observation(visible, 0, ()), decision, History(), POLICY, LEASE, (), before, at
    )


def test_history_keeps_changes_for_an_hour() -> None:
    first = look(0, 0.0, None)
    same = look(0, 10.0, first)
    assert len(same.history) == 1
    more = look(5, 20.0, same, reason="launch 1")
    assert [(entry.visible, entry.reason) for entry in more.history] == [(0, ""), (5, "launch 1")]
    later = look(5, 3700.0, more)
    assert [entry.at for entry in later.history] == [3700.0]


def test_last_decision_stays_until_the_next() -> None:
    launched = look(5, 1.0, look(0, 0.0, None), reason="launch 1")
    held = look(4, 2.0, launched)
    assert (held.decision, held.decided_at) == ("launch 1", 1.0)


def test_unchanged_status_is_written_once_a_minute() -> None:
    first = look(0, 0.0, None)
    assert worth_writing(first, None, 60)
    assert not worth_writing(look(0, 59.0, first), first, 60)
    assert worth_writing(look(0, 60.0, first), first, 60)
    assert worth_writing(look(1, 1.0, first), first, 60)


def test_busy_history_is_thinned_and_keeps_every_decision() -> None:
    last: FleetStatus | None = None
    for second in range(0, 3600, 4):
        last = look(second, second, last, reason="launch 1" if second % 600 == 300 else "")
    assert last is not None
    gaps = [b.at - a.at for a, b in zip(last.history, last.history[1:], strict=False)]
    assert len(last.history) < 460
    assert max(gaps) <= 12
    assert sum(bool(entry.reason) for entry in last.history) == 6
    assert last.history[-1].at == 3596


def test_history_is_bounded() -> None:
    last: FleetStatus | None = None
    for second in range(1500):
        last = look(second, second, last, reason=f"launch {second}")
    assert last is not None
    assert len(last.history) == 600


def test_status_names_leader_learned_times_and_alarms() -> None:
    seen = Observation(9, 0, (Worker("w", "failed", 0.0, 0.0),))
    history = History(boot_seconds=31.0, service_seconds=0.2, at_maximum=True)
    made = fleet_status(
        seen, Decision(reason="hold"), history, POLICY, LEASE, ("mend it",), None, 5.0
    )
    assert (made.holder, made.term, made.policy) == ("h", 3, "pace")
    assert (made.boot_seconds, made.service_seconds) == (31.0, 0.2)
    assert made.alarms == (
        "mend it",
        "the fleet is at its maximum of 19, and more is needed",
        "1 of 1 workers did not start",
    )


def test_new_leader_is_a_status_change() -> None:
    first = look(0, 0.0, None)
    assert worth_writing(first.model_copy(update={"holder": "other", "at": 1.0}), first, 60)


def test_wanted_workers_are_kept_plus_launched() -> None:
    workers = tuple(Worker(name, "idle", 0.0, 0.0) for name in "abc")
    gone = Worker("d", "draining", 0.0, 0.0)
    seen = Observation(0, 0, (*workers, gone))
    assert wanted(seen, Decision(launch=2, drain=("a",))) == 4


def seen_workers(*looks: tuple[float, WorkerReport | None]) -> list[Worker]:
    """Look every 10 s at one name: when the fleet says it began, and what it reports."""
    incarnation, seen, now = INCARNATION, list[Worker](), NOW
    for began_at, said in looks:
        now += 10.0
        if incarnation.launched_at != began_at:
            incarnation = incarnation.restarted(began_at, now, now)
        told = SeenReport(said, now if said else 0.0)
        member = Member("w", began_at)
        incarnation = incarnation.updated(member, told, now)
        seen.append(worker(member, incarnation, told, 0.0, now))
    return seen


def test_worker_that_cannot_start_says_why() -> None:
    said = report("booting").model_copy(update={"fault": "no such model"})
    (seen,) = seen_workers((100.0, said))
    assert (seen.state, seen.fault) == ("broken", "no such model")
    kept = worker(Member("w", 100.0, "failed"), INCARNATION, SeenReport(said, 1010.0), 0.0, NOW)
    assert (kept.state, kept.fault) == ("failed", "no such model")
    fleet = Member("w", 100.0, "failed", fault="its unit has failed")
    assert worker(fleet, INCARNATION, SeenReport(), 0.0, NOW).fault == "its unit has failed"


def test_worker_that_ends_before_it_is_ready_is_broken() -> None:
    seen = seen_workers(*((100.0 + 10 * look, None) for look in range(4)))
    assert [one.state for one in seen] == ["booting", "booting", "booting", "broken"]
    assert seen[-1].fault == "it has ended 3 times before it was ready"


def test_process_that_is_restarted_on_its_instance_is_seen() -> None:
    """systemd starts it again: the instance is the same, the process that reports is not."""
    starts = [report("booting", started_at=100.0 + 10 * look) for look in range(4)]
    assert [one.state for one in seen_workers(*((100.0, one) for one in starts))][-1] == "broken"


def test_worker_that_crashes_at_work_is_crashing() -> None:
    """It comes up each time, so it may be its images: it is kept, and counts for nothing."""
    busy = [(100.0 + 10 * look, report("busy", started_at=101.0 + 10 * look)) for look in range(4)]
    seen = seen_workers(*busy)
    assert [one.state for one in seen] == ["busy", "busy", "busy", "crashing"]
    assert seen[-1].fault == "it has crashed 3 times in 5 min"
    later = worker(Member("w", 130.0), INCARNATION, SeenReport(report("busy"), 2000.0), 0.0, 2000.0)
    assert later.state == "busy"


def test_worker_that_left_as_asked_has_not_crashed() -> None:
    told = [
        (100.0 + 10 * look, report("drained", started_at=101.0 + 10 * look)) for look in range(6)
    ]
    assert {one.fault for one in seen_workers(*told)} == {""}


def test_status_says_why_nobody_works() -> None:
    broken = Worker("w", "broken", 0.0, 0.0, fault="no such model")
    seen = Observation(1, 0, (broken,))
    decision, history = decide(seen, POLICY, History(), 5.0)
    made = fleet_status(seen, decision, history, POLICY, LEASE, (), None, 5.0)
    assert made.fault == "the last start failed: no such model"
    assert made.alarms == (made.fault,)
    works = Observation(1, 0, (Worker("w", "busy", 0.0, 0.0, 5.0),))
    made = fleet_status(works, Decision(reason="hold"), history, POLICY, LEASE, (), made, 5.0)
    assert (made.fault, made.reason) == ("", "hold")


def test_boot_that_was_cut_off_is_an_alarm() -> None:
    seen = Observation(1, 0, (Worker("w", "booting", 0.0, 0.0),))
    decision, history = decide(seen, POLICY, History(), 301.0)
    made = fleet_status(seen, decision, history, POLICY, LEASE, (), None, 301.0)
    assert decision.terminate == ("w",)
    assert made.alarms == ("the last start failed: w was not up after 300 s",)
    assert made.fault in made.alarms, "who waits is told too"


def test_status_tells_of_crashes() -> None:
    seen = Observation(1, 0, (Worker("w", "crashing", 0.0, 0.0, 5.0, "it has crashed 3 times"),))
    made = fleet_status(seen, Decision(), History(), POLICY, LEASE, (), None, 5.0)
    assert made.alarms == ("1 of 1 workers crash again and again; w: it has crashed 3 times",)


def test_status_says_why_one_of_several_did_not_start() -> None:
    """Also when another has come up since, and starts as such work."""
    failed = Worker("w", "failed", 0.0, 0.0, fault="its unit refuses to start")
    seen = Observation(1, 0, (failed, Worker("v", "busy", 0.0, 0.0, 5.0)))
    made = fleet_status(seen, Decision(), History(), POLICY, LEASE, (), None, 5.0)
    assert made.alarms == ("1 of 2 workers did not start: its unit refuses to start",)
