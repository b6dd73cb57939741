"""The threads of a classifier and the bounded queues between them.

One thread receives, some fetch and decode, one runs the model, some store, a few reply and delete.
Delivery is at least once: a message is deleted only after its result is stored and its reply is
sent.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from visionfleet.aws.sqs import BATCH, Queue, Received
from visionfleet.backoff import growing_waits
from visionfleet.classifier.completion import Completion, Stored
from visionfleet.classifier.in_flight import InFlight
from visionfleet.classifier.intake import Intake
from visionfleet.classifier.isolation import ChildFailed
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.classifier.stats import Events
from visionfleet.classifier.threads import Feed, ThreadGroup, take
from visionfleet.classifier.visibility import Delivery, VisibilityHeartbeat
from visionfleet.contract.messages import Ranked
from visionfleet.errors import BadMessage, TryLater
from visionfleet.host.watchdog import Watchdog
from visionfleet.imaging.preprocess import Pixels

log = logging.getLogger("classifier")

# Each ends up to ten jobs at a time.
FINISHERS = 2
MOST_STORERS = 32
# What the watchdog knows these by.
RECEIVE_LOOP = "receive loop"
MODEL_LOOP = "model"
S3_WAIT_SECONDS = 10.0  # the longest wait between two tries of a job while S3 has trouble
_HAND_BACK_SECONDS = 3.0


class Ranker(Protocol):
    """What the pipeline needs of a model."""

    def rank(self, batch: Sequence[Pixels], top: int) -> list[tuple[Ranked, ...]]:
        """Rank the classes for each image, best first; RuntimeError when the model fails."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of the pipeline; `prefetch` bounds the messages in hand, whatever their stage."""

    batch_size: int
    prefetch: int
    fetch_threads: int
    wait_seconds: int

    @property
    def store_threads(self) -> int:
        """Half of what is in hand may be on its way to S3.

        A put takes S3 100 ms, say, and us hardly any CPU: 8 threads store 80 results a second.
        """
        return min(MOST_STORERS, (self.prefetch + 1) // 2)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pipeline has done.

    `service_seconds` is the time with work in hand, per image; `stage_seconds` is the mean time
    that an image spent in each stage, side by side with others.
    """

    in_flight: int
    handled: int
    service_seconds: float | None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


class Pipeline:
    """Receives until `close_intake`, and ends in `finish` when nothing is left in hand."""

    def __init__(
        self,
        requests: Queue,
        dead: str,
        model: Ranker,
        intake: Intake,
        outcome: Completion,
        author: ResultBuilder,
        keeper: VisibilityHeartbeat,
        limits: Limits,
        random: Random,
        crashed: Callable[[BaseException], None],
        events: Events | None = None,
        loops: Watchdog | None = None,
    ) -> None:
        self._requests, self._dead, self._model = requests, dead, model
        self.intake, self._outcome, self._author = intake, outcome, author
        self._loops = loops or Watchdog(time.monotonic)
        self._keeper, self._limits, self._random = keeper, limits, random
        self._events = events or Events()
        self._received: Feed[Delivery] = queue.Queue()
        self._decoded: Feed[Job] = queue.Queue()
        self._done: Feed[Done] = queue.Queue()
        self._stored: Feed[Stored] = queue.Queue()
        self._intake_closed = threading.Event()
        self._hurry = threading.Event()
        self._beats_over = threading.Event()
        self._hands = InFlight(limits.prefetch)
        self._crew = ThreadGroup(crashed)

    def start(self) -> None:
        """Start all threads; the heartbeat first."""
        self._crew.spawn("heartbeat", 1, lambda: self._keeper.run(self._beats_over))
        self._crew.spawn("finish", FINISHERS, self._finish_loop)
        self._crew.spawn("store", self._limits.store_threads, self._store_loop)
        self._crew.spawn("model", 1, self._model_loop)
        self._crew.spawn("fetch", self._limits.fetch_threads, self._fetch_loop)
        self._crew.spawn("receive", 1, self._receive_loop)

    def close_intake(self) -> None:
        """Receive no more; what is in hand goes on."""
        self._intake_closed.set()
        self._hands.close()

    def receiving(self) -> bool:
        """Tell whether a receive may still bring messages."""
        return self._crew.alive("receive")

    def finish(self, hurry: bool, deadline: float) -> bool:
        """End all threads by the monotonic `deadline`; tells whether no message hangs.

        In a hurry, what has not reached the model is handed back to the queue at once, and what
        is stuck elsewhere is handed back within three seconds after the deadline. A parked
        receive is given a second and abandoned: its connection closes with the process.
        """
        self.close_intake()
        if hurry:
            self._hurry.set()
        grace = min(deadline, time.monotonic() + 1.0) if hurry else deadline
        self._crew.join("receive", None, grace)
        self._crew.join("fetch", self._received, deadline)
        self._crew.join("model", self._decoded, deadline)
        self._crew.join("store", self._done, deadline)
        self._crew.join("finish", self._stored, deadline)
        self._beats_over.set()
        return self._hand_back_rest() if hurry else self.tally().in_flight == 0

    def tally(self) -> Tally:
        """Say what is in hand and what was done."""
        return Tally(*self._hands.tally(), self._events.stage_means())

    def _hand_back_rest(self) -> bool:
        """Give back what is still held: a job whose S3 or model hangs is somebody else's now."""
        rest = self._keeper.held()
        if not rest:
            return self.tally().in_flight == 0
        log.warning("out of time, handing back", extra={"messages": len(rest)})
        answers: list[bool] = []
        last = threading.Thread(
            target=lambda: answers.append(self._outcome.hand_back(rest)), daemon=True
        )
        last.start()  # SQS may hang as well, and the stop must not
        last.join(_HAND_BACK_SECONDS)
        return answers == [True]

    # Receiving

    def _receive_loop(self) -> None:
        waits = growing_waits(self._random)
        while (room := self._wait_for_room()) > 0:
            try:
                messages = self._requests.receive(self._limits.wait_seconds, min(room, BATCH))
            except TryLater as error:
                self._events.poll_failed()
                log.warning("receive failed", extra={"reason": str(error)})
                self._loops.rest(RECEIVE_LOOP)
                self._intake_closed.wait(next(waits))
                continue
            waits = growing_waits(self._random)
            self._events.polled([message.receive_count for message in messages], time.time())
            self._admit(messages)

    def _wait_for_room(self) -> int:
        """A worker that holds what it may is well: S3 may be away, or the model slow."""
        self._loops.rest(RECEIVE_LOOP)
        room = self._hands.wait_for_room()
        if room:
            self._loops.step(RECEIVE_LOOP)
        return room

    def _admit(self, messages: list[Received]) -> None:
        now = time.monotonic()
        leases = [self._keeper.hold(message, now) for message in messages]
        if self._hurry.is_set():  # the receive was abandoned, and came back all the same
            self._outcome.hand_back(leases)
            return
        self._hands.take(len(leases))
        for lease in leases:
            self._received.put(lease)

    # Fetching and decoding

    def _fetch_loop(self) -> None:
        while (lease := self._received.get()) is not None:
            if self._hurry.is_set():
                self._outcome.hand_back([lease])
                self._hands.let_go(1)
            else:
                self._fetch_patiently(lease)
        self._received.put(None)

    def _fetch_patiently(self, lease: Delivery) -> None:
        """Hold a message while S3 has trouble: handed back, it would use up its deliveries.

        Five deliveries with seconds between them are over within a minute or two; held, each
        lasts as long as a message may be held at all.
        """
        for wait in growing_waits(self._random, cap=S3_WAIT_SECONDS):
            try:
                self._fetch(lease)
                return
            except ChildFailed as error:
                self._outcome.retry(lease, str(error))
                break
            except TryLater as error:
                self._events.retried()
                fields = lease.about() | {"in_seconds": wait, "reason": str(error)}
                log.warning("waiting for S3", extra=fields)
            if self._hurry.wait(wait):
                self._outcome.hand_back([lease])
                break
        self._hands.let_go(1)

    def _fetch(self, lease: Delivery) -> None:
        try:
            job = self.intake.open(lease)
        except BadMessage as error:
            self._outcome.bury(lease, self._dead, str(error))
            self._hands.let_go(1)
            return
        if lease.lost:
            self._hands.let_go(1)
            return
        taken = self.intake.take(job)
        if isinstance(taken, Job):
            self._decoded.put(taken)
        else:
            self._done.put(taken)

    # The model

    def _model_loop(self) -> None:
        while (batch := take(self._decoded, self._limits.batch_size)) is not None:
            if self._hurry.is_set():
                self._outcome.hand_back([job.lease for job in batch])
                self._hands.let_go(len(batch))
            else:
                self._classify(batch)

    def _classify(self, batch: list[Job]) -> None:
        held = [job for job in batch if not job.lease.lost]
        self._hands.let_go(len(batch) - len(held))
        if not held:
            return
        try:
            self._rank(held)
        except RuntimeError as error:
            if len(held) > 1:  # a bad image must not harm its neighbours
                for job in held:
                    self._classify([job])
                return
            reason = str(error).strip().splitlines()[-1]
            log.error("model failed", extra={"job": held[0].request.job, "reason": reason})
            self._outcome.retry(held[0].lease, reason)
            self._hands.let_go(1)

    def _rank(self, jobs: list[Job]) -> None:
        started = time.monotonic()
        pixels = [job.pixels for job in jobs if job.pixels is not None]
        self._loops.step(MODEL_LOOP)
        try:
            rankings = self._model.rank(pixels, max(job.request.top for job in jobs))
        finally:
            self._loops.rest(MODEL_LOOP)
        seconds = time.monotonic() - started
        self._events.batch(len(pixels), seconds)
        for job, ranking in zip(jobs, rankings, strict=True):
            self._done.put(self._author.succeeded(job, ranking, seconds, time.time()))

    # Finishing

    def _store_loop(self) -> None:
        while (done := self._done.get()) is not None:
            stored = self._outcome.store(done)
            if stored is None:
                self._hands.let_go(1)
            else:
                self._stored.put(stored)
        self._done.put(None)

    def _finish_loop(self) -> None:
        while (stored := take(self._stored, BATCH)) is not None:
            self._outcome.answer(stored)
            self._hands.let_go(len(stored), len(stored))
        self._stored.put(None)
