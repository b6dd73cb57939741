"""Turns queue counts, fleet members and worker reports into one observation. No I/O here."""

from collections.abc import Iterable, Mapping, Sequence

from visionfleet.fleet import Member
from visionfleet.messages import FleetStatus, StatusEntry, WorkerReport
from visionfleet.scaling import Decision, Observation, State, Worker

# A worker notes its own start a moment after its fleet did; whole seconds on one side.
_CLOCK_SLACK_SECONDS = 2.0
_HISTORY_SECONDS = 3600.0
_STATES: dict[str, State] = {
    "booting": "booting",
    "idle": "idle",
    "busy": "busy",
    "draining": "draining",
    "drained": "drained",
    "stopped": "stopping",
}


def worker(member: Member, report: WorkerReport | None, asked: bool) -> Worker:
    """Join what the fleet and what the worker itself say; `asked` is our wish that it drains.

    A report of an earlier life of the same name counts for nothing.
    """
    name, launched_at = member.name, member.launched_at
    if member.state == "failed":
        return Worker(name, "failed", launched_at, launched_at)
    if member.state == "stopping":
        return Worker(name, "stopping", launched_at, launched_at)
    if report is None or report.started_at < launched_at - _CLOCK_SLACK_SECONDS:
        return Worker(name, "booting", launched_at, launched_at)
    state = _STATES[report.state]
    if asked and state in {"idle", "busy"}:
        state = "draining"  # it has not read the wish yet
    return Worker(name, state, report.since, launched_at, report.reported_at)


def observe(
    visible: int, in_flight: int, workers: Sequence[Worker], reports: Iterable[WorkerReport]
) -> Observation:
    """Put one look together, with the mean boot and service times that workers told."""
    reports = list(reports)
    return Observation(
        visible=visible,
        in_flight=in_flight,
        workers=tuple(workers),
        boot_seconds=_mean([(r.boot_seconds, 1) for r in reports]),
        service_seconds=_mean([(r.service_seconds, r.handled) for r in reports]),
    )


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def status(
    seen: Observation,
    decision: Decision,
    limits: tuple[int, int],
    before: FleetStatus | None,
    now: float,
) -> FleetStatus:
    """Write down a look and its decision; `limits` are minimum and maximum."""
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
        minimum=limits[0],
        maximum=limits[1],
        states=_count(w.state for w in seen.workers),
        decision=decision.reason if changed or before is None else before.decision,
        decided_at=now if changed or before is None else before.decided_at,
        history=_extend(before.history if before else (), entry),
    )


def worth_writing(status: FleetStatus, written: FleetStatus | None, every_seconds: float) -> bool:
    """Tell whether a status says something new, or the last one is old."""
    if written is None or status.at - written.at >= every_seconds:
        return True
    return _gist(status) != _gist(written)


def _gist(status: FleetStatus) -> tuple[object, ...]:
    return status.visible, status.in_flight, status.states, status.decided_at


def _count(states: Iterable[State]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for state in states:
        counts[state] = counts.get(state, 0) + 1
    return counts


def _extend(history: Sequence[StatusEntry], entry: StatusEntry) -> tuple[StatusEntry, ...]:
    """Add an entry when it differs from the last; an hour is kept."""
    kept = [old for old in history if entry.at - old.at <= _HISTORY_SECONDS]
    if kept and not entry.reason and _same(kept[-1], entry):
        return tuple(kept)
    return (*kept, entry)


def _same(old: StatusEntry, new: StatusEntry) -> bool:
    pairs: Mapping[str, object] = old.model_dump(exclude={"at", "reason"})
    return pairs == new.model_dump(exclude={"at", "reason"})
