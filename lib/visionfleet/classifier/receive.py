"""Receives messages from SQS by long polling, as many as there is room for."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from visionfleet.aws.outbox import BATCH
from visionfleet.aws.sqs import Queue, Received
from visionfleet.backoff import growing_waits
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.handover import Takeover
from visionfleet.classifier.in_flight import Delivery
from visionfleet.config.schema import QueueSection
from visionfleet.errors import VisionfleetError
from visionfleet.host.daemon_threads import Crashed, run_in_thread
from visionfleet.host.watchdog import Watchdog

log = logging.getLogger("classifier")

_MOST_WAIT_SECONDS = 10.0  # the longest backoff while SQS fails
RECEIVE_LOOP = "receive loop"  # its name for the watchdog


@dataclass(slots=True)
class Receiver:
    """One thread, until `close`. Messages that arrive once `handing_back` is set are handed back;
    `now` is AWS's time.
    """

    requests: Queue
    settings: QueueSection
    completion: Completion
    received: Callable[[Delivery], None]
    handing_back: threading.Event
    loops: Watchdog
    random: Random
    takeover: Takeover
    now: Callable[[], float]
    _closed: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self, crashed: Crashed) -> None:
        self._thread = run_in_thread("receive", self._run, crashed)

    def close(self) -> None:
        self._closed.set()
        self.completion.in_flight.close()

    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def join(self, deadline: float) -> None:
        if self._thread:
            self._thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        self._take_over()
        waits = growing_waits(self.random, cap=_MOST_WAIT_SECONDS)
        while room := self._wait_for_room():
            try:
                messages = self._receive(room)
            except VisionfleetError as error:
                self.completion.metrics.receives.labels("error").inc()
                log.warning("receive failed", extra={"reason": str(error)})
                self.loops.rest(RECEIVE_LOOP)
                self._closed.wait(next(waits))
            else:
                waits = growing_waits(self.random, cap=_MOST_WAIT_SECONDS)
                self._admit(messages)

    def _receive(self, room: int) -> list[Received]:
        """Held for as long as the heartbeat assumes, whatever the queue's own timeout is."""
        hold_seconds = self.settings.visibility_timeout_seconds
        return self.requests.receive(self.settings.wait_seconds, min(room, BATCH), hold_seconds)

    def _take_over(self) -> None:
        room = self.completion.in_flight.wait_for_room()
        deliveries = self.takeover.held(time.monotonic())
        self.completion.in_flight.hold(deliveries)
        self.takeover.settle()
        if deliveries[room:]:  # more than fit: several workers died
            self.completion.hand_back(deliveries[room:])
        for delivery in deliveries[:room]:
            self.received(delivery)

    def _wait_for_room(self) -> int:
        """Not watched: a full worker is healthy, S3 may be down or the model slow."""
        self.loops.rest(RECEIVE_LOOP)
        room = self.completion.in_flight.wait_for_room()
        if room:
            self.loops.step(RECEIVE_LOOP)
        return room

    def _admit(self, messages: list[Received]) -> None:
        self.completion.metrics.polled_at.set(self.now())
        self.completion.metrics.receives.labels("hit" if messages else "empty").inc()
        for message in messages:
            self.completion.metrics.receive_count.observe(message.receive_count)
        now = time.monotonic()
        expires_at = now + self.settings.visibility_timeout_seconds
        deliveries = self.completion.in_flight.begin(messages, now, expires_at)
        if self.handing_back.is_set():  # the abandoned long poll returned after all
            self.completion.hand_back(deliveries)
            return
        for delivery in deliveries:
            self.received(delivery)
