"""What the scaler sees in one look at queue, fleet and workers."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from visionfleet.aws.sqs import Queue
from visionfleet.contract.messages import WorkerReport
from visionfleet.fleet.base import Fleet, Member
from visionfleet.scaler.decision import Observation, State, Worker
from visionfleet.scaler.handled_images import Throughput
from visionfleet.scaler.worker_reports import WorkerReports


@dataclass(slots=True)
class FleetObserver:
    """After a time in which it could not see, it owes every worker a new chance to report: in an
    outage of S3 none can, and the first look after it would take all for dead.
    """

    requests: Queue
    fleet: Fleet
    reports: WorkerReports
    throughput: Throughput = field(default_factory=Throughput)
    _clear_since: float | None = None

    def observe(self, now: float) -> Observation:
        """Look once, and see all or nothing; raises TryLater when anything does not answer."""
        since = self._clear_since
        self.lose_sight()
        counts = self.requests.counts()
        members = self.fleet.members()
        told = self.reports.read([member.name for member in members])
        self._clear_since = since = now if since is None else since
        workers = [worker(m, *said, since) for m, said in zip(members, told, strict=True)]
        known = [report for report, _ in told if report is not None]
        handled = self.throughput.count(known, now)
        return combined(counts.visible, counts.in_flight, workers, known, handled)

    def lose_sight(self) -> None:
        """Note that S3 does not answer, whoever asked it: workers cannot report either."""
        self._clear_since = None


# A worker notes its own start a moment after its fleet did; whole seconds on one side.
_CLOCK_SLACK_SECONDS = 2.0


def worker(
    member: Member, report: WorkerReport | None, asked_at: float | None, clear_since: float
) -> Worker:
    """Join what the fleet and the worker itself say; `asked_at` is when we asked it to drain.

    A report or request of an earlier life of its name counts for nothing. Silence counts from
    `clear_since` on, when the reports could be read again.
    """
    name, launched_at = member.name, member.launched_at
    if member.state != "running":
        return Worker(name, member.state, launched_at, launched_at)
    if report is None or report.started_at < launched_at - _CLOCK_SLACK_SECONDS:
        return Worker(name, "booting", launched_at, max(launched_at, clear_since))
    state: State = "stopping" if report.state == "stopped" else report.state
    if asked_at is not None and asked_at >= launched_at and state in {"idle", "busy"}:
        state = "draining"  # it has not read the request yet
    if report.stuck and state != "stopping":
        state = "stuck"
    if state == "booting":
        launched_at = max(launched_at, clear_since)
    return Worker(name, state, report.since, launched_at, max(report.reported_at, clear_since))


def combined(
    visible: int,
    in_flight: int,
    workers: Sequence[Worker],
    reports: Collection[WorkerReport],
    handled: float = 0.0,
) -> Observation:
    """Put one look together, with the mean boot and service times that workers told."""
    return Observation(
        visible=visible,
        in_flight=in_flight,
        workers=tuple(workers),
        boot_seconds=_mean((r.boot_seconds, 1) for r in reports),
        service_seconds=_mean((r.service_seconds, r.handled) for r in reports),
        handled=handled,
    )


def _mean(values: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight > 0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
