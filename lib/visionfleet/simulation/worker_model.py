"""What the workers of a simulated world tell of themselves, by the code of the real ones."""

import math
from dataclasses import dataclass, field

from visionfleet.classifier.capacity import FETCH, FINISH, MODEL, STORE, Capacity
from visionfleet.contract.messages import WorkerReport

_NOTED_CALLS = 50  # of each stage and report: more would tell the same
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

    def report(self, now: float, handled: int, workers: int) -> WorkerReport:
        """Report after so many images of all workers, which have passed their stages since then."""
        meters = self._capacity.measured or self._capacity.measure(self.prefetch, self.batch)
        at, before = self._reported
        self._reported, images = (now, handled), handled - before
        rate = images / max(1.0, now - at) / max(1, workers)
        size = (
            self.batch
            if rate * self.image_seconds >= 1
            else max(1, math.ceil(rate * self.call_seconds))
        )
        for _ in range(min(images, _NOTED_CALLS)):
            meters[FETCH].note(1, self.call_seconds)
            meters[MODEL].note(min(size, self.batch), min(size, self.batch) * self.image_seconds)
            meters[STORE].note(1, self.call_seconds)
            meters[FINISH].note(1, _FINISH_CALLS * self.call_seconds)
        capacity, busy = self._capacity.told(now, handled)
        return WorkerReport(
            worker="each",
            state="busy" if images else "idle",
            since=at,
            reported_at=now,
            started_at=0.0,
            handled=handled,
            capacity_per_second=capacity,
            busy_share=busy,
            version="simulated",
            host="simulated",
        )
