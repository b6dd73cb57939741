"""Counts what happens in a pipeline, for its reports and its metrics. No I/O here.

Plain numbers behind one lock: whoever wants them (a report, a scrape) takes a snapshot, so the
pipeline knows nothing of either and pays about a microsecond per number.
"""

import copy
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

STAGES = ("queue", "fetch", "decode", "infer", "store", "reply")
RECEIVES = ("hit", "empty", "error")
EXTENSIONS = ("ok", "lost", "error")
NOTICES = ("interruption", "rebalance")
# From a small crop's decoding to a job that waited for a worker to boot.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_DELIVERIES = (1, 2, 3, 4, 5, 10, 100)


class Distribution:
    """How often values fell between bounds: `counts` has one more for what is above the last."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value; a bound belongs to what is below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def _zeros(names: Collection[str]) -> Counter[str]:
    """A counter that is there from the start, so that its first step is seen as one."""
    return Counter(dict.fromkeys(names, 0))


@dataclass(slots=True)
class Totals:
    """All that was counted since the start of the process."""

    jobs: Counter[str] = field(default_factory=lambda: _zeros(["succeeded"]))
    stages: dict[str, Distribution] = field(
        default_factory=lambda: {stage: Distribution(_SECONDS) for stage in STAGES}
    )
    batches: Distribution = field(default_factory=lambda: Distribution(_SIZES))
    model_seconds: float = 0.0
    retries: int = 0
    receives: Counter[str] = field(default_factory=lambda: _zeros(RECEIVES))
    deliveries: Distribution = field(default_factory=lambda: Distribution(_DELIVERIES))
    polled_at: float = 0.0
    extensions: Counter[str] = field(default_factory=lambda: _zeros(EXTENSIONS))
    leases_lost: int = 0
    notices: Counter[str] = field(default_factory=lambda: _zeros(NOTICES))


class Events:
    """Takes note of what happens; called from all threads of a pipeline."""

    def __init__(self) -> None:
        self._totals = Totals()
        self._lock = threading.Lock()

    def polled(self, receive_counts: Sequence[int], now: float) -> None:
        """A receive was answered at wall time `now`, with messages of these receive counts."""
        with self._lock:
            self._totals.polled_at = now
            self._totals.receives["hit" if receive_counts else "empty"] += 1
            for count in receive_counts:
                self._totals.deliveries.add(count)

    def poll_failed(self) -> None:
        """A receive was not answered."""
        with self._lock:
            self._totals.receives["error"] += 1

    def batch(self, images: int, seconds: float) -> None:
        """The model worked on a batch."""
        with self._lock:
            self._totals.batches.add(images)
            self._totals.model_seconds += seconds

    def ended(self, outcome: str, stages: Mapping[str, float]) -> None:
        """A job ended; `stages` are the seconds it spent in those that it went through."""
        with self._lock:
            self._totals.jobs[outcome] += 1
            for stage, seconds in stages.items():
                self._totals.stages[stage].add(seconds)

    def retried(self) -> None:
        """A message was given back for a later try."""
        with self._lock:
            self._totals.retries += 1

    def extended(self, result: str, messages: int) -> None:
        """The heartbeat asked for so many messages, with a result of EXTENSIONS."""
        with self._lock:
            self._totals.extensions[result] += messages

    def lease_lost(self) -> None:
        """A message is no longer ours."""
        with self._lock:
            self._totals.leases_lost += 1

    def noticed(self, kind: str) -> None:
        """EC2 warned, with a kind of NOTICES."""
        with self._lock:
            self._totals.notices[kind] += 1

    def receives(self) -> int:
        """Count the receives that brought something, a sign that there is work."""
        with self._lock:
            return self._totals.receives["hit"]

    def stage_means(self) -> dict[str, float]:
        """Mean seconds per image by stage, for those stages that any image went through."""
        with self._lock:
            stages = self._totals.stages.items()
            counted = {name: (spent.sum, sum(spent.counts)) for name, spent in stages}
        return {name: round(total / n, 6) for name, (total, n) in counted.items() if n}

    def snapshot(self) -> Totals:
        """Copy all numbers as they are now."""
        with self._lock:
            return copy.deepcopy(self._totals)
