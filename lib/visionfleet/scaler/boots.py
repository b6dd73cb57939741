"""How long a worker took from its launch until it was ready, by phase. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass

from visionfleet.contract.messages import WorkerReport

PHASES = ("instance", "system", "start", "aws", "artefact", "model", "warm_up")


@dataclass(frozen=True, slots=True)
class Boot:
    """`phases` come one after another: `instance` until its kernel starts and `system` until the
    worker's process does, for one that is bought; then what the worker calls its own.
    """

    seconds: float
    phases: Mapping[str, float]


def measured(
    report: WorkerReport, launched_at: float, began_at: float, reported_at: float, bought: bool
) -> Boot | None:
    """Join what fleet and worker say; None of a worker that does not tell its boot.

    `launched_at` and the report's times are AWS's, `began_at` and `reported_at` of the scaler's
    clock: no boot is longer than that lets it be, nor shorter than the worker says.
    """
    own = report.boot_seconds
    if own is None:
        return None
    ready_since = max(0.0, report.reported_at - report.started_at - own)
    by_clocks = report.started_at + own - launched_at
    seconds = max(own, min(by_clocks, reported_at - ready_since - began_at))
    before: dict[str, float] = {}
    if bought and report.host_up_seconds is not None:
        system = min(report.host_up_seconds, seconds - own)
        before = {"instance": seconds - own - system, "system": system}
    return Boot(seconds, before | report.boot_phases)
