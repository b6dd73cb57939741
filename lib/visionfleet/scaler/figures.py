"""Counts what the scaler does and sees, for its metrics. No I/O here.

Written by the loop, read by scrapes on other threads; one lock, and a snapshot for whoever asks.
"""

import copy
import threading
from collections import Counter
from dataclasses import dataclass, field

from visionfleet.pipeline.events import Distribution
from visionfleet.scaling import Observation

STATES = ("booting", "idle", "busy", "draining", "drained", "stopping", "failed")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(slots=True)
class Totals:
    """Counted since the start of the process, and as of the last look."""

    visible: int = 0
    in_flight: int = 0
    workers: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(STATES, 0)))
    wanted: int = 0
    minimum: int = 0
    maximum: int = 0
    launches: int = 0
    drains: int = 0
    terminations: int = 0
    ticks: int = 0
    failed_ticks: int = 0
    succeeded_at: float = 0.0
    lease_held: bool = False
    seconds: Distribution = field(default_factory=lambda: Distribution(_SECONDS))


class Figures:
    """The running totals."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals = Totals()

    def snapshot(self) -> Totals:
        """Copy the totals as they are now."""
        with self._lock:
            return copy.deepcopy(self._totals)

    def saw(self, seen: Observation, wanted: int, limits: tuple[int, int], seconds: float) -> None:
        """Note a look, how many workers the decision on it wants, and how long both took."""
        with self._lock:
            totals = self._totals
            totals.visible, totals.in_flight = seen.visible, seen.in_flight
            totals.workers = Counter(dict.fromkeys(STATES, 0))
            totals.workers.update(worker.state for worker in seen.workers)
            totals.wanted = wanted
            totals.minimum, totals.maximum = limits
            totals.seconds.add(seconds)

    def acting(self, held: bool) -> None:
        """Note whether the lease is ours."""
        with self._lock:
            self._totals.lease_held = held

    def ticked(self, now: float) -> None:
        """Count a tick that came to its end."""
        with self._lock:
            self._totals.ticks += 1
            self._totals.succeeded_at = now

    def failed(self) -> None:
        """Count a tick that did not."""
        with self._lock:
            self._totals.ticks += 1
            self._totals.failed_ticks += 1

    def launched(self, count: int) -> None:
        """Count workers that were started."""
        with self._lock:
            self._totals.launches += count

    def drained(self, count: int) -> None:
        """Count workers that were asked to drain."""
        with self._lock:
            self._totals.drains += count

    def terminated(self, count: int) -> None:
        """Count workers that were ended."""
        with self._lock:
            self._totals.terminations += count
