"""The messages in flight: each delivery occupies one slot from its receipt until it ends."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from visionfleet.aws.sqs import Received


@dataclass(slots=True, eq=False)
class Delivery:
    """One delivery of a message to this worker. Times are monotonic seconds."""

    message: Received
    received_at: float  # moved forward by the time of AWS outages
    expires_at: float  # of its visibility timeout
    job: str = ""  # known once the message is decoded
    lost: bool = False  # its lease: another worker may have it by now
    holders: int = 1  # how many worker processes of this machine have held it
    suspect: str = ""  # the crash, if it was in the model when a worker died
    ending: bool = False
    tried: bool = False  # by the model
    step_since: float | None = None  # the start of the present try to fetch or to store
    waiting: bool = False  # to be retried: S3 does not give its image out, or take its result

    def about(self) -> dict[str, str]:
        job = {"job": self.job} if self.job else {}
        return job | {"message_id": self.message.message_id}


def names(deliveries: Iterable[Delivery]) -> str:
    return ",".join(delivery.job or delivery.message.message_id for delivery in deliveries)


@dataclass(frozen=True, slots=True)
class WorkCounts:
    in_flight: int = 0
    handled: int = 0


class Journal:
    """The journal of held deliveries; this one writes nothing."""

    def held(self, deliveries: Iterable[Delivery]) -> None:
        """Deliveries were received or taken over."""

    def extended(self, delivery: Delivery) -> None:
        """The visibility timeout of a delivery was extended."""

    def in_model(self, deliveries: Iterable[Delivery]) -> None:
        """These deliveries, and no others, are in the model."""

    def ended(self, deliveries: Iterable[Delivery]) -> None:
        """Deliveries have ended."""


class InFlight:
    """At most `most` deliveries; receiving stops at the current target `enough()`.

    A lost delivery keeps its slot until its stage drops it.
    """

    def __init__(
        self, most: int, journal: Journal | None = None, enough: Callable[[], int] | None = None
    ) -> None:
        self._most, self._journal, self._enough = most, journal or Journal(), enough
        self._deliveries: set[Delivery] = set()
        self._extending: frozenset[Delivery] = frozenset()
        self._changed = threading.Condition()
        self._closed = False
        self._handled = 0
        self._discounted_until = 0.0

    def wait_for_room(self) -> int:
        """Wait until a slot is free; returns how many are, 0 once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._room() > 0)
            return 0 if self._closed else self._room()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def begin(self, messages: Iterable[Received], now: float, expires_at: float) -> list[Delivery]:
        begun = [Delivery(message, now, expires_at) for message in messages]
        self.hold(begun)
        return begun

    def hold(self, deliveries: Collection[Delivery]) -> None:
        with self._changed:
            self._deliveries.update(deliveries)
            self._journal.held(deliveries)

    def extended(self, delivery: Delivery, expires_at: float) -> None:
        with self._changed:
            delivery.expires_at = expires_at
            self._journal.extended(delivery)

    def set_waiting(self, delivery: Delivery, waiting: bool) -> None:
        with self._changed:
            delivery.waiting = waiting
            self._changed.notify_all()

    def held_up(self, since: float) -> list[Delivery]:
        """What waits for S3, and images being fetched since before then, in monotonic time."""

        def is_fetched(held: Delivery) -> bool:
            return not held.tried and held.step_since is not None and held.step_since < since

        return [held for held in self.held() if held.waiting or is_fetched(held)]

    def wait_until_done(self, deadline: float) -> None:
        """Wait until nothing is left but what is lost, or until the monotonic `deadline`."""
        with self._changed:
            left = max(0.0, deadline - time.monotonic())
            self._changed.wait_for(lambda: not self._unfinished(), left)

    def discount_outage(self, began: float, ended: float) -> None:
        """Do not count an AWS outage as processing time of any image in flight."""
        with self._changed:
            began = max(began, self._discounted_until)  # the same outage counts only once
            for delivery in self._deliveries:
                delivery.received_at += max(0.0, ended - max(began, delivery.received_at))
            self._discounted_until = max(ended, self._discounted_until)

    def enter_model(self, deliveries: Collection[Delivery]) -> None:
        """Record the batch in the model, until the next one: if the process crashes, it is suspect.

        Also after the forward pass: a process does not die instantly.
        """
        with self._changed:
            for delivery in deliveries:
                delivery.tried = True
            self._journal.in_model(deliveries)

    @contextmanager
    def ending(self, deliveries: Collection[Delivery], answered: bool = False) -> Iterator[None]:
        """No extension can undo the return or delete within the block; after it slots are free."""
        with self._changed:
            for delivery in deliveries:
                delivery.ending = True
            self._changed.wait_for(lambda: self._extending.isdisjoint(deliveries))
        try:
            yield
        finally:
            self._free(deliveries, answered)

    def wait_for_end(self, delivery: Delivery) -> None:
        """Wait until a delivery is answered, handed back or dropped."""
        with self._changed:
            self._changed.wait_for(lambda: delivery not in self._deliveries)

    def holds_lease(self, delivery: Delivery) -> bool:
        """Whether the lease is still held; a lost delivery ends here."""
        lost = delivery.lost
        if lost:
            self._free([delivery], answered=False)
        return not lost

    @contextmanager
    def extending(self, before: float) -> Iterator[list[Delivery]]:
        """Yield the deliveries that expire before then; none of them ends within the block."""
        with self._changed:
            due = [delivery for delivery in self.held() if delivery.expires_at < before]
            self._extending = frozenset(due)
        try:
            yield due
        finally:
            with self._changed:
                self._extending = frozenset()
                self._changed.notify_all()

    def held(self) -> list[Delivery]:
        with self._changed:
            return [held for held in self._deliveries if not (held.lost or held.ending)]

    def unfinished(self) -> int:
        with self._changed:
            return self._unfinished()

    def counts(self) -> WorkCounts:
        with self._changed:
            return WorkCounts(len(self._deliveries), self._handled)

    def _unfinished(self) -> int:
        return sum(not delivery.lost for delivery in self._deliveries)

    def _room(self) -> int:
        """Room for one more while all only wait: perhaps others need not."""
        held = len(self._deliveries)
        enough = self._most if self._enough is None else max(1, self._enough())
        if all(delivery.waiting for delivery in self._deliveries):
            enough = max(enough, held + 1)
        return min(self._most, enough) - held

    def _free(self, deliveries: Collection[Delivery], answered: bool) -> None:
        with self._changed:
            ended = self._deliveries.intersection(deliveries)
            self._deliveries -= ended
            self._journal.ended(ended)
            self._handled += len(ended) if answered else 0
            self._changed.notify_all()
