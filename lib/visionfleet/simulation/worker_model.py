"""Reports of simulated workers, computed by the real workers' code."""

import math
from dataclasses import dataclass, field

from visionfleet.classifier.capacity import FETCH, FINISH, MODEL, STORE, Capacity
from visionfleet.contract.messages import WorkerReport

_NOTED_CALLS = 20  # per stage and batch size
_FINISH_CALLS = 2  # reply and delete


@dataclass(slots=True)
class WorkerModel:
    """One model for all workers, as they are identical."""

    call_seconds: float
    image_seconds: float
    prefetch: int = 32
    batch: int = 8
    _capacity: Capacity = field(default_factory=Capacity)
    _reported: tuple[float, int] = (0.0, 0)
    _sizes: set[int] = field(default_factory=set)  # batch sizes already measured
    _capacity_per_second: float | None = None

    def report(self, now: float, handled: int, workers: int) -> WorkerReport:
        """A report after `handled` images of all workers."""
        meters = self._capacity.measured or self._capacity.measure(self.prefetch, self.batch)
        at, before = self._reported
        self._reported, images = (now, handled), handled - before
        rate = images / max(1.0, now - at) / max(1, workers)
        busy = rate * self.image_seconds >= 1
        size = self.batch if busy else min(self.batch, max(1, math.ceil(rate * self.call_seconds)))
        if images and size not in self._sizes:
            self._sizes.add(size)
            for _ in range(_NOTED_CALLS):
                meters[FETCH].note(1, self.call_seconds)
                meters[MODEL].note(size, size * self.image_seconds)
                meters[STORE].note(1, self.call_seconds)
                meters[FINISH].note(1, _FINISH_CALLS * self.call_seconds)
            self._capacity_per_second = self._capacity.per_second()
        return WorkerReport(
            worker="each",
            state="busy" if images else "idle",
            since=at,
            reported_at=now,
            started_at=0.0,
            handled=handled,
            capacity_per_second=self._capacity_per_second,
            version="simulated",
            host="simulated",
        )
