"""Combines what the fleet and the workers report, on the scaler's clock. No I/O here.

A worker's name may be used again: an incarnation lasts from one launch to its end.
"""

from dataclasses import dataclass, replace
from functools import partial

from visionfleet.contract.messages import WorkerReport
from visionfleet.fleet.base import Member
from visionfleet.scaler import boots
from visionfleet.scaler.boots import Boot
from visionfleet.scaler.decision import State, Worker

# A worker records its own start a moment after the fleet; some fleets round to seconds.
_CLOCK_SLACK_SECONDS = 2.0
# Workers poll for drain requests every few seconds: after this time the request was read, or
# belongs to an earlier incarnation.
DRAIN_UNREAD_SECONDS = 60.0
# A worker that crashes so often within this time is not capacity; one that does before it is ready
# is broken.
MOST_CRASHES = 3
CRASH_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Incarnation:
    """`launched_at` is on the fleet's clock, `began_at` the same on the scaler's; `seen_at` is its
    first observation.

    `up`: it has been ready; `boot`: how long that took; `leaving`: its end is expected;
    `process_at`: the start of its process. `crashes` are the times of unexpected ends of this name,
    `failed_boots` counts consecutive ones before it was ready.
    """

    launched_at: float
    began_at: float
    seen_at: float
    process_at: float | None = None
    up: bool = False
    leaving: bool = False
    crashes: tuple[float, ...] = ()
    failed_boots: int = 0
    start_observed: bool = False
    boot: Boot | None = None

    def updated(self, member: Member, told: "SeenReport", now: float) -> "Incarnation":
        """Record an observation; a new process means that the last one crashed."""
        report = told.report
        ends = member.state != "running" or self.failed_boots >= MOST_CRASHES
        incarnation = replace(self, leaving=self.leaving or ends)
        if report is None or not _is_current(report, told.reported_at, self):
            return incarnation
        at = incarnation.process_at
        if at is not None and report.started_at - at > _CLOCK_SLACK_SECONDS:
            incarnation = incarnation.crashed(now)
        up = incarnation.up or report.state in {"idle", "busy"}
        return replace(
            incarnation,
            process_at=report.started_at,
            up=up,
            boot=incarnation.boot or (incarnation.measured(member, told, now) if up else None),
            leaving=incarnation.leaving
            or report.fault is not None
            or report.state in {"draining", "drained", "stopped"},
        )

    def measured(self, member: Member, told: "SeenReport", now: float) -> Boot | None:
        """Measure the boot, if its start was observed and nothing interrupted it."""
        seen = self.start_observed or now > self.seen_at
        if self.up or self.crashes or not seen or told.report is None:
            return None
        bought = member.market is not None
        return boots.measured(
            told.report, self.launched_at, self.began_at, told.reported_at, bought
        )

    def crashed(self, now: float) -> "Incarnation":
        """Record an end; an expected one is not a crash."""
        if self.leaving:
            return replace(self, up=False, leaving=False, failed_boots=0)
        recent = tuple(at for at in self.crashes if now - at < CRASH_SECONDS)
        failed_boots = 0 if self.up else self.failed_boots + 1
        return replace(self, up=False, crashes=(*recent, now), failed_boots=failed_boots)

    def restarted(self, launched_at: float, began_at: float, now: float) -> "Incarnation":
        """The next incarnation of this name, after a restart by the fleet."""
        ended = self.crashed(now)
        return Incarnation(
            launched_at,
            began_at,
            now,
            crashes=ended.crashes,
            failed_boots=ended.failed_boots,
            start_observed=True,
        )

    def fault(self, now: float) -> str:
        """Why this worker is not capacity; empty if it is."""
        crashes = sum(now - at < CRASH_SECONDS for at in self.crashes)
        if self.failed_boots >= MOST_CRASHES:
            return f"it has ended {self.failed_boots} times before it was ready"
        often = crashes >= MOST_CRASHES
        return f"it has crashed {crashes} times in {CRASH_SECONDS / 60:.0f} min" if often else ""


@dataclass(frozen=True, slots=True)
class SeenReport:
    """A worker's report and drain request, each with the time when it was first seen."""

    report: WorkerReport | None = None
    reported_at: float = 0.0
    asked_at: float | None = None


def worker(
    member: Member, incarnation: Incarnation, told: SeenReport, readable_since: float, now: float
) -> Worker:
    """The worker as decisions see it.

    Reports and requests of an earlier incarnation are ignored. Silence counts from
    `readable_since`, when reports became readable again after an outage.
    """
    name, began_at, report = member.name, incarnation.began_at, told.report
    if report is not None and not _is_current(report, told.reported_at, incarnation):
        report = None
    state, fault = _state(member, incarnation, report, now)
    handled = report.handled if report else 0
    ours = partial(Worker, name, fault=fault, market=member.market, handled=handled)
    if member.state != "running":
        return ours(state, began_at, began_at)
    if report is None:
        return ours(state, began_at, max(began_at, readable_since))
    pending = _unread(told.asked_at, incarnation, now)
    if pending and state in {"booting", "idle", "busy", "crashing"}:
        state = "draining"
    if state == "booting":
        began_at = max(began_at, readable_since)
    since = told.reported_at - max(0.0, report.reported_at - report.since)
    return ours(state, since, began_at, max(told.reported_at, readable_since))


def _state(
    member: Member, incarnation: Incarnation, report: WorkerReport | None, now: float
) -> tuple[State, str]:
    fault = (report.fault if report else None) or member.fault or incarnation.fault(now)
    if member.state != "running":
        return member.state, fault
    if report is not None and report.state == "stopped":
        return "stopping", ""
    if (report and report.fault) or incarnation.failed_boots >= MOST_CRASHES:
        return "broken", fault
    if report is None:
        return "booting", ""
    if report.stuck:
        return "stuck", report.stuck
    working: State = report.state if report.state != "stopped" else "stopping"
    return ("crashing" if fault and working in {"booting", "idle", "busy"} else working), fault


def _is_current(report: WorkerReport, reported_at: float, incarnation: Incarnation) -> bool:
    """By the order of observations, else by the timestamps of two clocks."""
    clocks_say_so = report.started_at >= incarnation.launched_at - _CLOCK_SLACK_SECONDS
    return reported_at > incarnation.seen_at or clocks_say_so


def _unread(asked_at: float | None, incarnation: Incarnation, now: float) -> bool:
    if asked_at is None or asked_at < incarnation.seen_at:
        return False
    return now - asked_at <= DRAIN_UNREAD_SECONDS
