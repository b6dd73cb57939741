"""Words a decision: what is done and why, or why nothing is. No I/O here."""

from collections.abc import Mapping, Sequence

from visionfleet.scaler.decision import Decision, Observation
from visionfleet.scaler.failed_starts import FailedStarts


def of(
    decision: Decision,
    seen: Observation,
    need: int,
    capacity: int,
    dead: Mapping[str, str],
    leave: str,
    notes: Sequence[str],
) -> str:
    """`leave` is the reason to drain, `notes` say why no more is done."""
    waits = f"{seen.visible} waiting and {seen.in_flight} in flight"
    steps = [] if decision.changes else [f"hold at {capacity}: {waits} need {need}"]
    if decision.launch:
        steps.append(f"launch {decision.launch}: {waits} need {need}, there are {capacity}")
    steps += notes
    if drain := len(decision.drain):
        steps.append(f"drain {drain}: {leave}")
    if drained := len(decision.terminate) - len(dead):
        steps.append(f"terminate {drained}: drained")
    if dead:
        steps.append(f"terminate {len(dead)}: dead, {', '.join(dead.values())}")
    return "; ".join(steps)


def failed_starts(failed: FailedStarts, held: bool = False) -> str:
    """`held`: further starts are delayed."""
    starts = "the last start" if failed.count == 1 else f"the last {failed.count} starts"
    held_back = " and another is not tried yet" if held else ""
    return f"{starts} failed{held_back}: {failed.fault or 'the log of the worker says why'}"
