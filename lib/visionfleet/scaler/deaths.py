"""Finds dead workers and failed starts. No I/O here."""

from collections.abc import Mapping

from visionfleet.scaler.decision import History, Observation, Policy, Worker
from visionfleet.scaler.failed_starts import FailedStarts, updated

_UNSTARTED = frozenset({"failed", "broken"})
_AT_WORK = frozenset({"idle", "busy"})
_BOOTS_TO_WAIT = 3  # a boot that takes so many times the learned boot time has failed


def find_dead(seen: Observation, policy: Policy, history: History, now: float) -> dict[str, str]:
    """Workers to terminate although they have not drained, with reasons."""
    limit, silent = boot_limit_seconds(policy, history), policy.silent_seconds
    # Most workers are healthy and reported just now: skip them fast.
    suspects = [
        w
        for w in seen.workers
        if w.state not in _AT_WORK or w.reported_at is None or now - w.reported_at > silent
    ]
    reasons = {w.name: _reason_dead(w, policy, limit, now) for w in suspects}
    return {name: reason for name, reason in reasons.items() if reason}


def failed_starts(
    seen: Observation, dead: Mapping[str, str], history: History, now: float
) -> FailedStarts:
    slow = [w for w in seen.workers if w.state == "booting" and w.name in dead]
    failed = {(w.name, w.launched_at): w.fault for w in seen.workers if w.state in _UNSTARTED}
    failed |= {(w.name, w.launched_at): dead[w.name] for w in slow}
    before = history.failed_starts
    if not failed and not before.count:
        return before
    up = {(w.name, w.launched_at) for w in seen.workers if w.state in _AT_WORK}
    return updated(before, failed, len(slow), up, now)


def boot_limit_seconds(policy: Policy, history: History) -> float:
    """When a start counts as failed; the limit doubles after each timeout."""
    learned = _BOOTS_TO_WAIT * (history.boot_seconds or 0.0)
    return max(policy.times.boot_limit_seconds, learned) * history.failed_starts.limit_factor


def _reason_dead(worker: Worker, policy: Policy, boot_limit_seconds: float, now: float) -> str:
    """Why to terminate a worker that has not drained; empty if it is healthy or in transition."""
    name, state = worker.name, worker.state
    if state in {"drained", "stopping", "failed"}:
        return ""
    if state in {"stuck", "broken"}:
        words = "makes no progress" if state == "stuck" else "does not start"
        return f"{name} {words}: {worker.fault}" if worker.fault else f"{name} {words}"
    if worker.reported_at is None or state == "booting":
        slow = now - worker.launched_at > boot_limit_seconds
        return f"{name} was not up after {boot_limit_seconds:.0f} s" if slow else ""
    silent = now - worker.reported_at
    return f"{name} has not reported for {silent:.0f} s" if silent > policy.silent_seconds else ""
