"""Counts the images that workers have finished, interpolated between reports. No I/O here."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from visionfleet.contract.messages import WorkerReport
from visionfleet.scaler.incarnations import SeenReport

# The last rate is extrapolated no longer than this.
_CARRIED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A worker's last report, and its throughput between the last two."""

    report: WorkerReport
    reported_at: float
    rate: float = 0.0


@dataclass(slots=True)
class Throughput:
    """A counter over all workers, also those gone, extrapolated between reports."""

    _total: int = 0
    _known: dict[str, _Known] = field(default_factory=dict)

    def count(self, told: Iterable[SeenReport], now: float) -> float:
        """Record the reports; returns the images finished since the first call."""
        reports = [(one.report, one.reported_at) for one in told if one.report is not None]
        self._known = {report.worker: self._noted(report, at) for report, at in reports}
        carried = sum(
            known.rate * max(0.0, min(_CARRIED_SECONDS, now - known.reported_at))
            for known in self._known.values()
        )
        return self._total + carried

    def _noted(self, report: WorkerReport, at: float) -> _Known:
        before = self._known.get(report.worker)
        if before is None or before.report.started_at != report.started_at:
            self._total += report.handled
            return _Known(report, at)
        if report == before.report:
            return before
        seconds = _between(report.reported_at - before.report.reported_at, at - before.reported_at)
        images = max(0, report.handled - before.report.handled)
        self._total += images
        return _Known(report, at, images / seconds if report.state == "busy" else 0.0)


def _between(reported: float, seen: float) -> float:
    """Seconds between two reports on the worker's clock, unless that was set meanwhile."""
    return reported if reported > 0 and abs(reported - seen) <= _CARRIED_SECONDS else max(seen, 1.0)
