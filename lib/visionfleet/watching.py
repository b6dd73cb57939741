"""Turns queue counts, fleet members and worker reports into one observation. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from visionfleet.fleet import Member
from visionfleet.messages import FleetStatus, StatusEntry, WorkerReport
from visionfleet.scaling import Decision, History, Observation, State, Worker

# A worker notes its own start a moment after its fleet did; whole seconds on one side.
_CLOCK_SLACK_SECONDS = 2.0
_HISTORY_SECONDS = 3600.0
# Points of the history: of those that tell no decision, one in ten seconds is kept.
_POINT_SECONDS = 10.0
_MOST_POINTS = 600
_STATES: dict[str, State] = {
    "booting": "booting",
    "idle": "idle",
    "busy": "busy",
    "draining": "draining",
    "drained": "drained",
    "stopped": "stopping",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a status tells beside a look: who acts by which policy, within which limits."""

    holder: str
    term: int
    policy: str
    minimum: int
    maximum: int
    fleet_alarms: tuple[str, ...] = ()


def worker(
    member: Member, report: WorkerReport | None, asked_at: float | None, clear_since: float
) -> Worker:
    """Join what the fleet and what the worker itself say; `asked_at` is our wish that it drains.

    A report of an earlier life of the same name counts for nothing, and so does a wish. Silence
    counts from `clear_since` on, when the reports could be read again.
    """
    name, launched_at = member.name, member.launched_at
    if member.state == "failed":
        return Worker(name, "failed", launched_at, launched_at)
    if member.state == "stopping":
        return Worker(name, "stopping", launched_at, launched_at)
    if report is None or report.started_at < launched_at - _CLOCK_SLACK_SECONDS:
        return Worker(name, "booting", launched_at, max(launched_at, clear_since))
    state = _STATES[report.state]
    if asked_at is not None and asked_at >= launched_at and state in {"idle", "busy"}:
        state = "draining"  # it has not read the wish yet
    if state == "booting":
        launched_at = max(launched_at, clear_since)
    return Worker(name, state, report.since, launched_at, max(report.reported_at, clear_since))


def observe(
    visible: int,
    in_flight: int,
    workers: Sequence[Worker],
    reports: Iterable[WorkerReport],
    handled: float = 0.0,
) -> Observation:
    """Put one look together, with the mean boot and service times that workers told."""
    reports = list(reports)
    return Observation(
        visible=visible,
        in_flight=in_flight,
        workers=tuple(workers),
        boot_seconds=_mean([(r.boot_seconds, 1) for r in reports]),
        service_seconds=_mean([(r.service_seconds, r.handled) for r in reports]),
        handled=handled,
    )


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def status(
    seen: Observation,
    decision: Decision,
    history: History,
    standing: Standing,
    before: FleetStatus | None,
    now: float,
) -> FleetStatus:
    """Write down a look and its decision."""
    changed = decision.changes or before is None
    entry = StatusEntry(
        at=now,
        visible=seen.visible,
        in_flight=seen.in_flight,
        workers=len(seen.workers),
        reason=decision.reason if decision.changes else "",
    )
    return FleetStatus(
        at=now,
        visible=seen.visible,
        in_flight=seen.in_flight,
        minimum=standing.minimum,
        maximum=standing.maximum,
        states=_count(w.state for w in seen.workers),
        decision=decision.reason if changed or before is None else before.decision,
        decided_at=now if changed or before is None else before.decided_at,
        policy=standing.policy,
        holder=standing.holder,
        term=standing.term,
        boot_seconds=history.boot_seconds,
        service_seconds=history.service_seconds,
        alarms=tuple(alarms(seen, history, standing)),
        history=_extend(before.history if before else (), entry),
    )


def alarms(seen: Observation, history: History, standing: Standing) -> Iterable[str]:
    """Say what a person should look at."""
    yield from standing.fleet_alarms
    if history.at_maximum:
        yield f"the fleet is at its maximum of {standing.maximum}, and more is needed"
    failed = sum(worker.state == "failed" for worker in seen.workers)
    if failed:
        yield f"{failed} of {len(seen.workers)} workers did not start"


def wanted(seen: Observation, decision: Decision) -> int:
    """Count the workers that a decision leaves at work or brings there."""
    gone = {*decision.terminate, *decision.drain}
    states = {"booting", "idle", "busy", "failed"}
    kept = sum(w.state in states and w.name not in gone for w in seen.workers)
    return kept + decision.launch


def steps(decision: Decision) -> list[str]:
    """Say in words what a decision would do, one line a step, and why."""
    words = [f"would launch {decision.launch}"] if decision.launch else []
    words += [f"would ask {name} to drain" for name in decision.drain]
    words += [f"would terminate {name}" for name in decision.terminate]
    return [*(words or ["would do nothing"]), f"because: {decision.reason}"]


def worth_writing(status: FleetStatus, written: FleetStatus | None, every_seconds: float) -> bool:
    """Tell whether a status says something new, or the last one is old."""
    if written is None or status.at - written.at >= every_seconds:
        return True
    return _gist(status) != _gist(written)


def _gist(status: FleetStatus) -> tuple[object, ...]:
    who = status.holder, status.term, status.policy, status.minimum, status.maximum
    seen = status.visible, status.in_flight, status.states, status.alarms
    return (*seen, status.decided_at, *who)


def _count(states: Iterable[State]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return counts


def _extend(history: Sequence[StatusEntry], entry: StatusEntry) -> tuple[StatusEntry, ...]:
    """Add an entry when it differs from the last; an hour is kept, and no more than so many.

    Where counts change with every look, the last point moves on until it is ten seconds from the
    one before it. A point with a reason stays.
    """
    kept = [old for old in history if entry.at - old.at <= _HISTORY_SECONDS]
    if kept and not entry.reason and _same(kept[-1], entry):
        return tuple(kept)
    if len(kept) > 1 and not kept[-1].reason and entry.at - kept[-2].at < _POINT_SECONDS:
        kept.pop()
    return (*kept, entry)[-_MOST_POINTS:]


def _same(old: StatusEntry, new: StatusEntry) -> bool:
    pairs: Mapping[str, object] = old.model_dump(exclude={"at", "reason"})
    return pairs == new.model_dump(exclude={"at", "reason"})
