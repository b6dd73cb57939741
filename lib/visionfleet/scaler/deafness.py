"""Which worker takes nothing though images wait, and does not know it. No I/O here.

Its receives may be answered by something in between, or never, while its reports get through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visionfleet.scaler.decision import Worker

# Five times as old as SQS says that its counts may be.
DEAF_SECONDS = 300.0
# On the average: images that are taken as they come may be in every count, and wait for nobody.
_LONG_WAIT_SECONDS = 60.0
_LONGEST_GAP_SECONDS = 90.0  # between two looks: of a longer one nobody knows what was in it


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A worker that has been idle since that look, with so many images handled."""

    since: float
    handled: int


@dataclass(frozen=True, slots=True)
class Deafness:
    """What the last looks saw, all of which saw images wait: since when, how long all images waited
    together, how many were handled before, and who is idle. `deaf` is who was found now.

    If somebody who came after `found_at` takes nothing either, the count is wrong, or it is not the
    worker's fault: then nobody else is found until an image is handled, or none is counted.
    """

    since: float = 0.0
    looked_at: float | None = None
    image_seconds: float = 0.0
    handled: float = 0.0
    quiet: Mapping[str, _Quiet] = field(default_factory=dict)
    found_at: float | None = None
    deaf: str | None = None

    def noted(
        self, visible: int, handled: float, workers: Sequence["Worker"], now: float
    ) -> "Deafness":
        """Take note of a look. One is found at a time, and each after a watch of its own."""
        if not visible:
            return Deafness()
        found_at = self.found_at if handled <= self.handled else None
        before = self.looked_at
        if before is None or now - before > _LONGEST_GAP_SECONDS:
            return Deafness(now, now, handled=handled, found_at=found_at)
        seen = replace(
            self,
            looked_at=now,
            image_seconds=self.image_seconds + visible * (now - before),
            quiet={w.name: self._quiet(w, now) for w in workers if w.state == "idle"},
            found_at=found_at,
            deaf=None,
        )
        if (deaf := seen._found(handled, workers, now)) is None:
            return seen
        return Deafness(now, now, handled=handled, found_at=now, deaf=deaf)

    def _quiet(self, worker: "Worker", now: float) -> _Quiet:
        known = self.quiet.get(worker.name)
        goes_on = known is not None and known.handled == worker.handled
        return known if known and goes_on else _Quiet(now, worker.handled)

    def _found(self, handled: float, workers: Sequence["Worker"], now: float) -> str | None:
        """Name one who is idle for as long as images wait, unless that says nothing of it."""
        mean_wait = self.image_seconds / max(1.0, handled - self.handled)  # by Little's law
        if now - self.since < DEAF_SECONDS or mean_wait < _LONG_WAIT_SECONDS:
            return None
        idle = [w for w in workers if w.name in self.quiet]
        still = [w for w in idle if now - max(w.since, self.quiet[w.name].since) >= DEAF_SECONDS]
        if self.found_at is not None and any(w.launched_at >= self.found_at for w in still):
            return None
        return min(still, key=lambda w: w.launched_at).name if still else None
