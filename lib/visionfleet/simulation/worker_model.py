"""What the workers of a simulated world tell of themselves, by the code of the real ones."""

import math
from dataclasses import dataclass, field

from visionfleet.classifier.capacity import FETCH, FINISH, MODEL, STORE, Capacity
from visionfleet.contract.messages import WorkerReport

_NOTED_CALLS = 20  # of each stage, for a size of batches
_FINISH_CALLS = 2  # a reply, and a delete


@dataclass(slots=True)
class WorkerModel:
    """One stands for all, which are alike. A call to AWS and an image in the model take so long."""

    call_seconds: float
    image_seconds: float
    prefetch: int = 32
    batch: int = 8
    _capacity: Capacity = field(default_factory=Capacity)
    _reported: tuple[float, int] = (0.0, 0)
    _sizes: set[int] = field(default_factory=set)  # of batches: more of them tell nothing new
    _told: float | None = None

    def report(self, now: float, handled: int, workers: int) -> WorkerReport:
        """Report after so many images of all workers, which have passed their stages since then."""
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
            self._told = self._capacity.per_second()
        return WorkerReport(
            worker="each",
            state="busy" if images else "idle",
            since=at,
            reported_at=now,
            started_at=0.0,
            handled=handled,
            capacity_per_second=self._told,
            version="simulated",
            host="simulated",
        )
