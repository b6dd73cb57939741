"""The messages in flight: each delivery has one place, from its receipt until it ends."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from visionfleet.aws.sqs import Received


@dataclass(slots=True, eq=False)
class Delivery:
    """One delivery of a message to this worker. Times are monotonic seconds."""

    message: Received
    received_at: float  # later by what AWS took
    expires_at: float  # its visibility timeout, unless it is extended
    job: str = ""  # once the message is decoded
    lost: bool = False  # it may be another worker's by now
    lives: int = 1  # of workers on this machine that have held it
    suspect: str = ""  # it was in the model when one of them ended: a name for that end
    ending: bool = False

    def about(self) -> dict[str, str]:
        job = {"job": self.job} if self.job else {}
        return job | {"message_id": self.message.message_id}


def names(deliveries: Iterable[Delivery]) -> str:
    return ",".join(delivery.job or delivery.message.message_id for delivery in deliveries)


@dataclass(frozen=True, slots=True)
class WorkCounts:
    """What a worker has in flight, and has done."""

    in_flight: int = 0
    handled: int = 0


class Notes:
    """Where it is noted what is held: here, nowhere."""

    def held(self, deliveries: Iterable[Delivery]) -> None:
        """They are ours from here on."""

    def extended(self, delivery: Delivery) -> None:
        """It is ours for longer."""

    def in_model(self, deliveries: Iterable[Delivery]) -> None:
        """They are in the model, and no others."""

    def ended(self, deliveries: Iterable[Delivery]) -> None:
        """They are ours no more."""


class InFlight:
    """At most `most` deliveries, and no more are received than are `enough` at the time; a lost one
    keeps its place until its stage drops it.
    """

    def __init__(
        self, most: int, notes: Notes | None = None, enough: Callable[[], int] | None = None
    ) -> None:
        self._most, self._notes, self._enough = most, notes or Notes(), enough
        self._deliveries: set[Delivery] = set()
        self._extending: frozenset[Delivery] = frozenset()
        self._changed = threading.Condition()
        self._closed = False
        self._handled = 0
        self._excused_until = 0.0

    def wait_for_room(self) -> int:
        """Wait until there is room; returns for how many, 0 once it is closed."""
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
            self._notes.held(deliveries)

    def extended(self, delivery: Delivery, expires_at: float) -> None:
        with self._changed:
            delivery.expires_at = expires_at
            self._notes.extended(delivery)

    def excuse(self, began: float, ended: float) -> None:
        """AWS was away, or will be: that is not the time of any image, also of those that wait."""
        with self._changed:
            began = max(began, self._excused_until)  # others may have met the same outage
            for delivery in self._deliveries:
                delivery.received_at += max(0.0, ended - max(began, delivery.received_at))
            self._excused_until = max(ended, self._excused_until)

    def enter_model(self, deliveries: Collection[Delivery]) -> None:
        """Note who is in the model, until others are: if it ends the process, it is one of them.

        Also a moment later, for a process does not end at once.
        """
        with self._changed:
            self._notes.in_model(deliveries)

    @contextmanager
    def ending(self, deliveries: Collection[Delivery], answered: bool = False) -> Iterator[None]:
        """In the block no extension can undo what ends them; after it their places are free."""
        with self._changed:
            for delivery in deliveries:
                delivery.ending = True
            self._changed.wait_for(lambda: self._extending.isdisjoint(deliveries))
        try:
            yield
        finally:
            self._free(deliveries, answered)

    def still_ours(self, delivery: Delivery) -> bool:
        """Tell whether to go on with it; a lost one ends here."""
        lost = delivery.lost
        if lost:
            self._free([delivery], answered=False)
        return not lost

    @contextmanager
    def extending(self, before: float) -> Iterator[list[Delivery]]:
        """Give those that expire before then; none of them ends while the block lasts."""
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
            return sum(not delivery.lost for delivery in self._deliveries)

    def counts(self) -> WorkCounts:
        with self._changed:
            return WorkCounts(len(self._deliveries), self._handled)

    def _room(self) -> int:
        most = self._most if self._enough is None else min(self._most, max(1, self._enough()))
        return most - len(self._deliveries)

    def _free(self, deliveries: Collection[Delivery], answered: bool) -> None:
        with self._changed:
            ended = self._deliveries.intersection(deliveries)
            self._deliveries -= ended
            self._notes.ended(ended)
            self._handled += len(ended) if answered else 0
            self._changed.notify_all()
