"""Finds a worker that receives nothing although messages are visible. No I/O here.

Its receives may hang, or be answered by something in between, while its reports get through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visionfleet.scaler.decision import Worker

# Five times the age that SQS states for its counts.
STALLED_SECONDS = 300.0
# The mean wait: images received at once may be in every count without waiting.
_MIN_MEAN_WAIT_SECONDS = 60.0
_LONGEST_GAP_SECONDS = 90.0  # of two observations; after a longer one start anew


@dataclass(frozen=True, slots=True)
class _Idle:
    since: float
    handled: int


@dataclass(frozen=True, slots=True)
class StalledWorker:
    """Consecutive observations with visible messages: their start, the sum of all images' waiting
    time, images handled before, and idle workers. `stalled` is the one found now.

    If a worker launched after `found_at` receives nothing either, the count is wrong or the cause
    is elsewhere: then no other is reported until an image is handled, or none is visible.
    """

    since: float = 0.0
    looked_at: float | None = None
    image_seconds: float = 0.0
    handled: float = 0.0
    idle_since: Mapping[str, _Idle] = field(default_factory=dict)
    found_at: float | None = None
    stalled: str | None = None

    def updated(
        self, visible: int, handled: float, workers: Sequence["Worker"], now: float
    ) -> "StalledWorker":
        """Record an observation at `now`, in seconds. Workers are found one at a time, each after
        another `STALLED_SECONDS`.
        """
        if not visible:
            return StalledWorker()
        found_at = self.found_at if handled <= self.handled else None
        before = self.looked_at
        if before is None or now - before > _LONGEST_GAP_SECONDS:
            return StalledWorker(now, now, handled=handled, found_at=found_at)
        seen = replace(
            self,
            looked_at=now,
            image_seconds=self.image_seconds + visible * (now - before),
            idle_since={w.name: self._idle(w, now) for w in workers if w.state == "idle"},
            found_at=found_at,
            stalled=None,
        )
        if (stalled := seen._found(handled, workers, now)) is None:
            return seen
        return StalledWorker(now, now, handled=handled, found_at=now, stalled=stalled)

    def _idle(self, worker: "Worker", now: float) -> _Idle:
        known = self.idle_since.get(worker.name)
        goes_on = known is not None and known.handled == worker.handled
        return known if known and goes_on else _Idle(now, worker.handled)

    def _found(self, handled: float, workers: Sequence["Worker"], now: float) -> str | None:
        """The name of a worker idle for all that time, unless there is another explanation."""
        mean_wait = self.image_seconds / max(1.0, handled - self.handled)  # by Little's law
        if now - self.since < STALLED_SECONDS or mean_wait < _MIN_MEAN_WAIT_SECONDS:
            return None
        idle = [w for w in workers if w.name in self.idle_since]
        still = [
            w for w in idle if now - max(w.since, self.idle_since[w.name].since) >= STALLED_SECONDS
        ]
        if self.found_at is not None and any(w.launched_at >= self.found_at for w in still):
            return None
        return min(still, key=lambda w: w.launched_at).name if still else None
