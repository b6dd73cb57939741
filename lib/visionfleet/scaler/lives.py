"""What fleet and worker say of one life of a worker, joined by this scaler's clock. No I/O here."""

from dataclasses import dataclass, replace
from functools import partial

from visionfleet.contract.messages import WorkerReport
from visionfleet.fleet.base import Member
from visionfleet.scaler import boots
from visionfleet.scaler.boots import Boot
from visionfleet.scaler.decision import State, Worker

# A worker notes its own start a moment after its fleet did; whole seconds on one side.
_CLOCK_SLACK_SECONDS = 2.0
# A worker looks every few seconds whether it is asked to drain: by then it has read it, or never
# will, as one that began after it was written.
UNREAD_SECONDS = 60.0
# A worker that ends by itself so often in this time is no capacity; before it is up, it is broken.
MOST_CRASHES = 3
CRASH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Life:
    """A member from its launch to its end. Its fleet says when that was, by a clock of its own;
    `began_at` is what this scaler makes of it, and `seen_at` the look that first saw it.

    `up` tells that it has been ready for work, `boot` how long that took, `leaving` that it goes as
    it should, and `process_at` when its process began. `crashes` are the times at which a life of
    this name ended otherwise, and `unready` how many in a row did before they were up.
    """

    launched_at: float
    began_at: float
    seen_at: float
    process_at: float | None = None
    up: bool = False
    leaving: bool = False
    crashes: tuple[float, ...] = ()
    unready: int = 0
    seen_to_begin: bool = False
    boot: Boot | None = None

    def noted(self, member: Member, told: "Told", now: float) -> "Life":
        """Take note of a look at it: a process that is another's ended by itself."""
        report = told.report
        ends = member.state != "running" or self.unready >= MOST_CRASHES
        life = replace(self, leaving=self.leaving or ends)
        if report is None or not _of_this_life(report, told.reported_at, self):
            return life
        at = life.process_at
        if at is not None and report.started_at - at > _CLOCK_SLACK_SECONDS:
            life = life.crashed(now)
        up = life.up or report.state in {"idle", "busy"}
        return replace(
            life,
            process_at=report.started_at,
            up=up,
            boot=life.boot or (life.measured(member, told, now) if up else None),
            leaving=life.leaving
            or report.fault is not None
            or report.state in {"draining", "drained", "stopped"},
        )

    def measured(self, member: Member, told: "Told", now: float) -> Boot | None:
        """Measure a boot whose begin was seen, and that nothing interrupted."""
        seen = self.seen_to_begin or now > self.seen_at
        if self.up or self.crashes or not seen or told.report is None:
            return None
        bought = member.market is not None
        return boots.measured(
            told.report, self.launched_at, self.began_at, told.reported_at, bought
        )

    def crashed(self, now: float) -> "Life":
        """Note an end; one that was expected is none."""
        if self.leaving:
            return replace(self, up=False, leaving=False, unready=0)
        recent = tuple(at for at in self.crashes if now - at < CRASH_SECONDS)
        unready = 0 if self.up else self.unready + 1
        return replace(self, up=False, crashes=(*recent, now), unready=unready)

    def follow(self, launched_at: float, began_at: float, now: float) -> "Life":
        """Begin the next life of this name, which the fleet has started again."""
        ended = self.crashed(now)
        return Life(
            launched_at,
            began_at,
            now,
            crashes=ended.crashes,
            unready=ended.unready,
            seen_to_begin=True,
        )

    def fault(self, now: float) -> str:
        """Say why it counts for nothing, empty while it does."""
        crashes = sum(now - at < CRASH_SECONDS for at in self.crashes)
        if self.unready >= MOST_CRASHES:
            return f"it has ended {self.unready} times before it was ready"
        often = crashes >= MOST_CRASHES
        return f"it has crashed {crashes} times in {CRASH_SECONDS / 60:.0f} min" if often else ""


@dataclass(frozen=True, slots=True)
class Told:
    """A worker's report, and the times of the looks that first saw it and the request to drain."""

    report: WorkerReport | None = None
    reported_at: float = 0.0
    asked_at: float | None = None


def worker(member: Member, life: Life, told: Told, clear_since: float, now: float) -> Worker:
    """Join what the fleet and the worker itself say.

    A report or request of an earlier life of its name counts for nothing. Silence counts from
    `clear_since` on, when the reports could be read again.
    """
    name, began_at, report = member.name, life.began_at, told.report
    if report is not None and not _of_this_life(report, told.reported_at, life):
        report = None
    state, fault = _state(member, life, report, now)
    handled = report.handled if report else 0
    ours = partial(Worker, name, fault=fault, market=member.market, handled=handled)
    if member.state != "running":
        return ours(state, began_at, began_at)
    if report is None:
        return ours(state, began_at, max(began_at, clear_since))
    if state in {"booting", "idle", "busy", "crashing"} and _unread(told.asked_at, life, now):
        state = "draining"
    if state == "booting":
        began_at = max(began_at, clear_since)
    since = told.reported_at - max(0.0, report.reported_at - report.since)
    return ours(state, since, began_at, max(told.reported_at, clear_since))


def _state(
    member: Member, life: Life, report: WorkerReport | None, now: float
) -> tuple[State, str]:
    """Tell the state of a worker, and why it is not at work."""
    fault = (report.fault if report else None) or member.fault or life.fault(now)
    if member.state != "running":
        return member.state, fault
    if report is not None and report.state == "stopped":
        return "stopping", ""
    if (report and report.fault) or life.unready >= MOST_CRASHES:
        return "broken", fault
    if report is None:
        return "booting", ""
    if report.stuck:
        return "stuck", report.stuck
    working: State = report.state if report.state != "stopped" else "stopping"
    return ("crashing" if fault and working in {"booting", "idle", "busy"} else working), fault


def _of_this_life(report: WorkerReport, reported_at: float, life: Life) -> bool:
    """Tell by what was seen, or else by the clocks, which may differ."""
    clocks_say_so = report.started_at >= life.launched_at - _CLOCK_SLACK_SECONDS
    return reported_at > life.seen_at or clocks_say_so


def _unread(asked_at: float | None, life: Life, now: float) -> bool:
    """Tell whether a worker is about to read that it is to drain."""
    return asked_at is not None and asked_at >= life.seen_at and now - asked_at <= UNREAD_SECONDS
