"""How many images the workers have finished, between their reports too. No I/O here."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from visionfleet.contract.messages import WorkerReport
from visionfleet.scaler.lives import Told

# A worker that has not reported for longer goes on at its old rate no further.
_CARRIED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A worker's last report, and the images a second between it and the one before."""

    report: WorkerReport
    reported_at: float
    rate: float = 0.0


@dataclass(slots=True)
class Throughput:
    """Adds up: who goes takes nothing with it. Between reports a worker keeps its last rate."""

    _total: int = 0
    _known: dict[str, _Known] = field(default_factory=dict)

    def count(self, told: Iterable[Told], now: float) -> float:
        """Take note of the reports of a look; returns the images since the first one."""
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


def _between(said: float, seen: float) -> float:
    """Seconds between two reports, as the worker says, unless its clock was set meanwhile."""
    return said if said > 0 and abs(said - seen) <= _CARRIED_SECONDS else max(seen, 1.0)
