"""The published status: what the scaler observed and decided, with a short history. No I/O here."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from visionfleet.contract.messages import FleetStatus, Lease, StatusEntry
from visionfleet.scaler import reasons
from visionfleet.scaler.decision import Decision, History, Observation, Policy, known

_HISTORY_SECONDS = 3600.0
# At most one history entry in ten seconds, except for those with a decision.
_POINT_SECONDS = 10.0
_MOST_POINTS = 600


def fleet_status(
    seen: Observation,
    decision: Decision,
    history: History,
    policy: Policy,
    lease: Lease,
    fleet_alarms: Sequence[str],
    before: FleetStatus | None,
    now: float,
) -> FleetStatus:
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
        minimum=policy.minimum_at(now),
        maximum=policy.maximum,
        states=dict(Counter[str](worker.state for worker in seen.workers)),
        markets=dict(Counter[str](worker.market for worker in seen.workers if worker.market)),
        market_reason=seen.market_reason,
        decision=decision.reason if changed or before is None else before.decision,
        decided_at=now if changed or before is None else before.decided_at,
        reason=decision.reason,
        fault=_fault(seen, history),
        policy=policy.settings.policy,
        holder=lease.holder,
        term=lease.term,
        deployment=lease.deployment,
        boot_seconds=history.boot_seconds,
        service_seconds=history.service_seconds,
        alarms=(*fleet_alarms, *_alarms(seen, history, policy)),
        history=_extend(before.history if before else (), entry),
    )


def _alarms(seen: Observation, history: History, policy: Policy) -> Iterable[str]:
    if history.at_maximum:
        yield f"the fleet is at its maximum of {policy.maximum}, and more is needed"
    states, total = Counter(worker.state for worker in seen.workers), len(seen.workers)
    starts = history.failed_starts
    if failed := states["failed"]:
        faults = (worker.fault for worker in seen.workers if worker.state == "failed")
        why = next(filter(None, faults), starts.fault)
        yield f"{failed} of {total} workers did not start{f': {why}' if why else ''}"
    elif starts.count:
        yield reasons.failed_starts(starts)
    if crashing := states["crashing"]:
        faults = (f"{worker.name}: {worker.fault}" for worker in seen.workers if worker.fault)
        yield f"{crashing} of {total} workers crash again and again; {next(faults)}"


def _fault(seen: Observation, history: History) -> str:
    """Why no worker works, for waiting clients; empty while one does."""
    works = any(worker.state in {"idle", "busy"} for worker in seen.workers)
    starts = history.failed_starts
    return "" if works or not starts.count else reasons.failed_starts(starts)


def learned(history: History, status: FleetStatus | None) -> History:
    """Adopt the times learned by an earlier scaler, where none are known yet."""
    if status is None:
        return history
    return replace(
        history,
        boot_seconds=known(history.boot_seconds, status.boot_seconds),
        service_seconds=known(history.service_seconds, status.service_seconds),
    )


def worth_writing(status: FleetStatus, written: FleetStatus | None, every_seconds: float) -> bool:
    if written is None or abs(status.at - written.at) >= every_seconds:
        return True
    return _significant(status) != _significant(written)


def _significant(status: FleetStatus) -> tuple[object, ...]:
    who = status.holder, status.term, status.policy, status.minimum, status.maximum
    seen = status.visible, status.in_flight, status.states, status.alarms, status.markets
    return (*seen, status.market_reason, status.fault, status.decided_at, *who)


def _extend(history: Sequence[StatusEntry], entry: StatusEntry) -> tuple[StatusEntry, ...]:
    """Append an entry, unless it equals the last; it replaces a recent one without a decision."""
    kept = [old for old in history if entry.at - old.at <= _HISTORY_SECONDS]
    if kept and not entry.reason and _same(kept[-1], entry):
        return tuple(kept)
    if len(kept) > 1 and not kept[-1].reason and entry.at - kept[-2].at < _POINT_SECONDS:
        kept.pop()
    return (*kept, entry)[-_MOST_POINTS:]


def _same(old: StatusEntry, new: StatusEntry) -> bool:
    return old.model_copy(update={"at": new.at, "reason": new.reason}) == new
