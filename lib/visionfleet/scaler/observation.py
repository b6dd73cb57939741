"""Observes queue, fleet and worker reports."""

from dataclasses import dataclass, field

from visionfleet.aws.sqs import Queue
from visionfleet.fleet.base import Fleet, Member
from visionfleet.scaler import learned_times
from visionfleet.scaler.decision import Observation
from visionfleet.scaler.handled_images import Throughput
from visionfleet.scaler.incarnations import Incarnation, worker
from visionfleet.scaler.worker_reports import WorkerReports


@dataclass(slots=True)
class FleetObserver:
    """All times in an observation are on one monotonic clock: a report's age counts from when it
    was first seen, whatever the worker's clock says.

    After an outage of S3 silence counts anew, as workers could not report: the first observation
    would otherwise find all of them dead. `members` are those of the last observation.
    """

    requests: Queue
    fleet: Fleet
    reports: WorkerReports
    throughput: Throughput = field(default_factory=Throughput)
    members: tuple[Member, ...] = ()
    _incarnations: dict[str, Incarnation] = field(default_factory=dict)
    _observed_at: float | None = None
    _readable_since: float | None = None

    def observe(self, now: float, wall: float) -> Observation:
        """Observe everything or raise TryLater.

        `now` is monotonic, `wall` AWS's time.
        """
        since = self._readable_since
        self.record_outage()
        counts = self.requests.counts()
        members = self.fleet.members()
        reports = self.reports.read([member.name for member in members], now)
        self._readable_since = since = now if since is None else since
        known_boots = {id(one.boot) for one in self._incarnations.values()}
        self._incarnations = {
            member.name: self._incarnation(member, now, wall).updated(member, report, now)
            for member, report in zip(members, reports, strict=True)
        }
        self._observed_at, self.members = now, tuple(members)
        three = zip(members, self._incarnations.values(), reports, strict=True)
        boots = [one.boot for one in self._incarnations.values() if one.boot is not None]
        return Observation(
            visible=counts.visible,
            in_flight=counts.in_flight,
            workers=tuple(worker(m, one, report, since, now) for m, one, report in three),
            boot_seconds=learned_times.boot_seconds(boots),
            service_seconds=learned_times.service_seconds(
                [report.report for report in reports if report.report is not None]
            ),
            handled=self.throughput.count(reports, now),
            wall=wall,
            market_reason=self.fleet.market_reason(),
            boots=tuple(boot for boot in boots if id(boot) not in known_boots),
        )

    def record_outage(self) -> None:
        """Record that S3 fails, so that workers cannot report either."""
        self._readable_since = None

    def _incarnation(self, member: Member, now: float, wall: float) -> Incarnation:
        known = self._incarnations.get(member.name)
        if known is not None and known.launched_at == member.launched_at:
            return known
        began_at = now - max(0.0, wall - member.launched_at)
        if self._observed_at is not None:  # it started after the last observation
            began_at = max(began_at, self._observed_at)
        if known is not None:
            return known.restarted(member.launched_at, began_at, now)
        observed = self._observed_at is not None
        return Incarnation(member.launched_at, began_at, now, start_observed=observed)
