"""The visibility heartbeat: extends the visibility timeout of messages in flight."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.aws.sqs import Queue
from visionfleet.classifier.in_flight import Delivery, InFlight, names
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.errors import LeaseLost, VisionfleetError

log = logging.getLogger("classifier")


@dataclass(frozen=True, slots=True)
class VisibilityHeartbeat:
    """Extends a delivery when a third of its timeout is left, up to an age of `max_seconds`: a hung
    job must return to the queue. `clock` is monotonic.
    """

    requests: Queue
    in_flight: InFlight
    visibility_seconds: int
    max_seconds: float
    clock: Callable[[], float]
    metrics: ClassifierMetrics

    @property
    def tick_seconds(self) -> float:
        """The interval of `beat`: several beats fit into a third of the visibility timeout."""
        return min(1.0, self.visibility_seconds / 12)

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(self.tick_seconds):
            self.beat()

    def beat(self) -> None:
        now = self.clock()
        with self.in_flight.extending(now + self.visibility_seconds / 3) as due:
            for delivery in due:
                if now - delivery.received_at > self.max_seconds:
                    self._lose(delivery, "held for too long")
            self._extend([delivery for delivery in due if not delivery.lost])

    def _extend(self, due: list[Delivery]) -> None:
        if not due:
            return
        asked_at = self.clock()
        try:
            failed = self.requests.extend([d.message.receipt for d in due], self.visibility_seconds)
        except VisionfleetError as error:
            self.metrics.extensions.labels("error").inc(len(due))
            fields = {"messages": len(due), "jobs": names(due), "reason": str(error)}
            log.warning("heartbeat failed", extra=fields)
            return
        for delivery in due:
            self._record(delivery, failed.get(delivery.message.receipt), asked_at)

    def _record(self, delivery: Delivery, error: VisionfleetError | None, asked_at: float) -> None:
        if error is None:
            self.in_flight.extended(delivery, asked_at + self.visibility_seconds)
        elif isinstance(error, LeaseLost):
            self._lose(delivery, str(error))
        result = "ok" if error is None else "lost" if delivery.lost else "error"
        self.metrics.extensions.labels(result).inc()

    def _lose(self, delivery: Delivery, reason: str) -> None:
        delivery.lost = True
        self.metrics.leases_lost.inc()
        log.warning("lease lost", extra=delivery.about() | {"reason": reason})
