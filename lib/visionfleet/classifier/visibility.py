"""Holds messages: a heartbeat keeps each invisible from its receipt until it is released."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier.stats import Events
from visionfleet.errors import LeaseLost, TryLater

log = logging.getLogger("classifier")


@dataclass(slots=True, eq=False)
class Delivery:
    """Our hold on one delivery. Times are those of the keeper's monotonic clock."""

    message: Received
    received_at: float
    expires_at: float
    lost: bool = field(default=False)
    job: str = ""  # once the message is decoded

    def about(self) -> dict[str, str]:
        """Name it in a line of the log."""
        job = {"job": self.job} if self.job else {}
        return job | {"message_id": self.message.message_id}


def jobs(leases: Iterable[Delivery]) -> str:
    """Name several in a line of the log."""
    return ",".join(lease.job or lease.message.message_id for lease in leases)


class VisibilityHeartbeat:
    """Extends visibility in batches; after `release` no extension of that message follows.

    A lease is extended when a third of the visibility timeout is left, and no longer than
    `max_seconds` after its receipt: a hung job must come back to the queue.
    """

    def __init__(
        self,
        queue: Queue,
        visibility_seconds: int,
        max_seconds: float,
        clock: Callable[[], float],
        events: Events | None = None,
    ) -> None:
        self._queue = queue
        self._visibility = visibility_seconds
        self._max = max_seconds
        self._clock = clock
        self._events = events or Events()
        self._held: set[Delivery] = set()
        self._beating: set[Delivery] = set()
        self._changed = threading.Condition()

    @property
    def tick_seconds(self) -> float:
        """How often `beat` is due: a third of a visibility timeout must hold several beats."""
        return min(1.0, self._visibility / 12)

    def hold(self, message: Received, received_at: float) -> Delivery:
        """Begin to hold a message that was asked for at `received_at`."""
        lease = Delivery(message, received_at, received_at + self._visibility)
        with self._changed:
            self._held.add(lease)
        return lease

    def release(self, leases: Iterable[Delivery]) -> None:
        """Stop to hold; waits for a beat under way, so that it cannot undo what comes next."""
        leases = set(leases)
        with self._changed:
            self._held -= leases
            self._changed.wait_for(lambda: not leases & self._beating)

    def count(self) -> int:
        """Count the messages that are held now."""
        with self._changed:
            return len(self._held)

    def held(self) -> list[Delivery]:
        """List the messages that are held now."""
        with self._changed:
            return list(self._held)

    def beat(self) -> None:
        """Extend what is due; called every `tick_seconds`."""
        now = self._clock()
        with self._changed:
            self._drop_overdue(now)
            due = [lease for lease in self._held if lease.expires_at - now < self._visibility / 3]
            self._beating = set(due)
        try:
            self._extend(due)
        finally:
            with self._changed:
                self._beating = set()
                self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Beat until `stop` is set."""
        while not stop.wait(self.tick_seconds):
            self.beat()

    def _drop_overdue(self, now: float) -> None:
        for lease in [lease for lease in self._held if now - lease.received_at > self._max]:
            self._lose(lease, "held for too long")

    def _extend(self, due: list[Delivery]) -> None:
        if not due:
            return
        by_receipt = {lease.message.receipt: lease for lease in due}
        asked_at = self._clock()
        try:
            failed = self._queue.extend(list(by_receipt), self._visibility)
        except TryLater as error:
            self._events.extended("error", len(due))
            log.warning(
                "heartbeat failed",
                extra={"messages": len(due), "jobs": jobs(due), "reason": str(error)},
            )
            return
        lost = [error for error in failed.values() if isinstance(error, LeaseLost)]
        self._events.extended("ok", len(due) - len(failed))
        self._events.extended("lost", len(lost))
        self._events.extended("error", len(failed) - len(lost))
        with self._changed:
            for receipt, lease in by_receipt.items():
                if receipt not in failed:
                    lease.expires_at = asked_at + self._visibility
                elif isinstance(failed[receipt], LeaseLost):
                    self._lose(lease, str(failed[receipt]))

    def _lose(self, lease: Delivery, reason: str) -> None:
        lease.lost = True
        self._held.discard(lease)
        self._events.lease_lost()
        log.warning("lease lost", extra=lease.about() | {"reason": reason})
