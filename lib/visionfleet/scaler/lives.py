"""What fleet and worker say of one life of a worker, joined by this scaler's clock. No I/O here."""

from dataclasses import dataclass

from visionfleet.contract.messages import WorkerReport
from visionfleet.fleet.base import Member
from visionfleet.scaler.decision import State, Worker

# A worker notes its own start a moment after its fleet did; whole seconds on one side.
_CLOCK_SLACK_SECONDS = 2.0
# A worker looks every few seconds whether it is asked to drain: by then it has read it, or never
# will, as one that began after it was written.
UNREAD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Life:
    """A member from its launch to its end. Its fleet says when that was, by a clock of its own;
    `began_at` is what this scaler makes of it, and `seen_at` the look that first saw it.
    """

    launched_at: float
    began_at: float
    seen_at: float


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
    if member.state != "running":
        return Worker(name, member.state, began_at, began_at)
    if report is None or not _of_this_life(report, told.reported_at, life):
        return Worker(name, "booting", began_at, max(began_at, clear_since))
    state: State = "stopping" if report.state == "stopped" else report.state
    if state in {"idle", "busy"} and _unread(told.asked_at, life, now):
        state = "draining"
    if report.stuck and state != "stopping":
        state = "stuck"
    if state == "booting":
        began_at = max(began_at, clear_since)
    since = told.reported_at - max(0.0, report.reported_at - report.since)
    return Worker(name, state, since, began_at, max(told.reported_at, clear_since))


def _of_this_life(report: WorkerReport, reported_at: float, life: Life) -> bool:
    """Tell by what was seen, or else by the clocks, which may differ."""
    clocks_say_so = report.started_at >= life.launched_at - _CLOCK_SLACK_SECONDS
    return reported_at > life.seen_at or clocks_say_so


def _unread(asked_at: float | None, life: Life, now: float) -> bool:
    """Tell whether a worker is about to read that it is to drain."""
    return asked_at is not None and asked_at >= life.seen_at and now - asked_at <= UNREAD_SECONDS
