"""One look at queue, fleet and workers."""

from dataclasses import dataclass, field

from visionfleet import watching
from visionfleet.fleet import Fleet, Member
from visionfleet.queues import Queue
from visionfleet.scaler.handled import Handled
from visionfleet.scaler.papers import Papers
from visionfleet.scaling import Observation


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, whole or not at all; `at` is when the look began."""

    at: float
    members: tuple[Member, ...]
    seen: Observation


@dataclass(slots=True)
class Observer:
    """Looks. After a time in which it could not see, it owes every worker a new chance to report.

    In an outage of S3 no worker can report: without that chance, the first look after it would
    take all of them for dead.
    """

    requests: Queue
    fleet: Fleet
    papers: Papers
    handled: Handled = field(default_factory=Handled)
    _clear_since: float | None = None

    def look(self, now: float) -> Look:
        """Look once; raises TryLater when anything does not answer."""
        since = self._clear_since
        self.lose_sight()
        counts = self.requests.counts()
        members = self.fleet.members()
        self.papers.look(member.name for member in members)
        self._clear_since = since = now if since is None else since
        reports = [(m, self.papers.report(m.name), self.papers.asked_at(m.name)) for m in members]
        workers = [watching.worker(m, report, asked, since) for m, report, asked in reports]
        known = [report for _, report, _ in reports if report is not None]
        handled = self.handled.count(known, now)
        seen = watching.observe(counts.visible, counts.in_flight, workers, known, handled)
        return Look(now, tuple(members), seen)

    def lose_sight(self) -> None:
        """Note that S3 does not answer, whoever asked it: workers cannot report either."""
        self._clear_since = None
