"""Boot times: from the launch of a worker until it is ready, by phase. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass

from visionfleet.contract.messages import WorkerReport

PHASES = ("instance", "system", "start", "aws", "artefact", "model", "warm_up")


@dataclass(frozen=True, slots=True)
class Boot:
    """`phases` are consecutive: on EC2 `instance` (until the kernel starts) and `system` (until the
    worker's process starts), then those of the worker itself.
    """

    seconds: float
    phases: Mapping[str, float]


def measured(
    report: WorkerReport, launched_at: float, began_at: float, reported_at: float, bought: bool
) -> Boot | None:
    """Combine what fleet and worker know; None if the worker does not report its boot time.

    `launched_at` and the report's times are AWS's; `began_at` and `reported_at` are on the scaler's
    clock and bound the boot time from above, the worker's own boot time from below.
    """
    own = report.boot_seconds
    if own is None:
        return None
    ready_since = max(0.0, report.reported_at - report.started_at - own)
    by_timestamps = report.started_at + own - launched_at
    seconds = max(own, min(by_timestamps, reported_at - ready_since - began_at))
    before: dict[str, float] = {}
    if bought and report.host_up_seconds is not None:
        system = min(report.host_up_seconds, seconds - own)
        before = {"instance": seconds - own - system, "system": system}
    return Boot(seconds, before | report.boot_phases)
