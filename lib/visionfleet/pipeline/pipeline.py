"""The threads of a classifier and the bounded queues between them.

One thread receives, a few fetch and decode, one runs the model, a few finish. Delivery is at
least once: a message is deleted only after its result is stored and its reply is sent.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, TypeVar

from visionfleet.errors import BadMessage, TryLater
from visionfleet.messages import Ranked
from visionfleet.pipeline.events import Events
from visionfleet.pipeline.intake import Intake
from visionfleet.pipeline.isolation import ChildFailed
from visionfleet.pipeline.jobs import Author, Done, Job
from visionfleet.pipeline.leases import Lease, LeaseKeeper
from visionfleet.pipeline.outcome import Outcome
from visionfleet.preprocessing import Pixels
from visionfleet.queues import BATCH, Queue, Received
from visionfleet.retry import growing_waits

log = logging.getLogger("classifier")

_T = TypeVar("_T")

FINISHERS = 2
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
        outcome: Outcome,
        author: Author,
        keeper: LeaseKeeper,
        limits: Limits,
        random: Random,
        crashed: Callable[[BaseException], None],
        events: Events | None = None,
    ) -> None:
        self._requests, self._dead, self._model = requests, dead, model
        self._intake, self._outcome, self._author = intake, outcome, author
        self._keeper, self._limits, self._random = keeper, limits, random
        self._crashed = crashed
        self._events = events or Events()
        self._received: queue.Queue[Lease | None] = queue.Queue()
        self._decoded: queue.Queue[Job | None] = queue.Queue()
        self._done: queue.Queue[Done | None] = queue.Queue()
        self._intake_closed = threading.Event()
        self._hurry = threading.Event()
        self._beats_over = threading.Event()
        self._room = threading.Condition()
        self._in_hand = 0
        self._handled = 0
        self._busy_seconds = 0.0
        self._busy_since = 0.0
        self._last_poll = time.monotonic()
        self._threads: dict[str, list[threading.Thread]] = {}

    def start(self) -> None:
        """Start all threads; the heartbeat first."""
        self._spawn("heartbeat", 1, lambda: self._keeper.run(self._beats_over))
        self._spawn("finish", FINISHERS, self._finish_loop)
        self._spawn("model", 1, self._model_loop)
        self._spawn("fetch", self._limits.fetch_threads, self._fetch_loop)
        self._spawn("receive", 1, self._receive_loop)

    def close_intake(self) -> None:
        """Receive no more; what is in hand goes on."""
        self._intake_closed.set()
        with self._room:
            self._room.notify_all()

    def receiving(self) -> bool:
        """Tell whether a receive may still bring messages."""
        return self._threads["receive"][0].is_alive()

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
        self._join("receive", None, grace)
        self._join("fetch", self._received, deadline)
        self._join("model", self._decoded, deadline)
        self._join("finish", self._done, deadline)
        self._beats_over.set()
        return self._hand_back_rest() if hurry else self.tally().in_flight == 0

    def tally(self) -> Tally:
        """Say what is in hand and what was done."""
        with self._room:
            now = time.monotonic()
            busy = self._busy_seconds + (now - self._busy_since if self._in_hand else 0.0)
            return Tally(
                self._in_hand,
                self._handled,
                busy / self._handled if self._handled else None,
                self._events.stage_means(),
            )

    def seconds_since_poll(self) -> float:
        """Age of the last receive that was answered, for a watchdog."""
        return time.monotonic() - self._last_poll

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
        while (most := self._wait_for_room()) > 0:
            try:
                messages = self._requests.receive(self._limits.wait_seconds, most)
            except TryLater as error:
                self._events.poll_failed()
                log.warning("receive failed", extra={"reason": str(error)})
                self._intake_closed.wait(next(waits))
                continue
            waits = growing_waits(self._random)
            self._last_poll = time.monotonic()
            self._events.polled([message.receive_count for message in messages], time.time())
            self._admit(messages)

    def _wait_for_room(self) -> int:
        """Wait until a message may be received; returns how many, 0 when the intake closed."""
        with self._room:
            self._room.wait_for(self._has_room_or_closed)
            room = self._limits.prefetch - self._in_hand
        return 0 if self._intake_closed.is_set() else min(room, BATCH)

    def _has_room_or_closed(self) -> bool:
        return self._intake_closed.is_set() or self._in_hand < self._limits.prefetch

    def _admit(self, messages: list[Received]) -> None:
        now = time.monotonic()
        leases = [self._keeper.hold(message, now) for message in messages]
        if self._hurry.is_set():  # the receive was abandoned, and came back all the same
            self._outcome.hand_back(leases)
            return
        with self._room:
            if leases and not self._in_hand:
                self._busy_since = now
            self._in_hand += len(leases)
        for lease in leases:
            self._received.put(lease)

    # Fetching and decoding

    def _fetch_loop(self) -> None:
        while (lease := self._received.get()) is not None:
            if self._hurry.is_set():
                self._outcome.hand_back([lease])
                self._let_go(1)
            else:
                self._fetch_patiently(lease)
        self._received.put(None)

    def _fetch_patiently(self, lease: Lease) -> None:
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
                log.warning("waiting for S3", extra={"in_seconds": wait, "reason": str(error)})
            if self._hurry.wait(wait):
                self._outcome.hand_back([lease])
                break
        self._let_go(1)

    def _fetch(self, lease: Lease) -> None:
        try:
            job = self._intake.open(lease)
        except BadMessage as error:
            self._outcome.bury(lease, self._dead, str(error))
            self._let_go(1)
            return
        if lease.lost:
            self._let_go(1)
            return
        taken = self._intake.take(job)
        if isinstance(taken, Job):
            self._decoded.put(taken)
        else:
            self._done.put(taken)

    # The model

    def _model_loop(self) -> None:
        while (batch := _take(self._decoded, self._limits.batch_size)) is not None:
            if self._hurry.is_set():
                self._outcome.hand_back([job.lease for job in batch])
                self._let_go(len(batch))
            else:
                self._classify(batch)

    def _classify(self, batch: list[Job]) -> None:
        held = [job for job in batch if not job.lease.lost]
        self._let_go(len(batch) - len(held))
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
            self._let_go(1)

    def _rank(self, jobs: list[Job]) -> None:
        started = time.monotonic()
        pixels = [job.pixels for job in jobs if job.pixels is not None]
        rankings = self._model.rank(pixels, max(job.request.top for job in jobs))
        seconds = time.monotonic() - started
        self._events.batch(len(pixels), seconds)
        for job, ranking in zip(jobs, rankings, strict=True):
            self._done.put(self._author.succeeded(job, ranking, seconds, time.time()))

    # Finishing

    def _finish_loop(self) -> None:
        while (done := _take(self._done, BATCH)) is not None:
            ended = self._outcome.finish(done)
            self._let_go(len(done), len(ended))
        self._done.put(None)

    def _let_go(self, jobs: int, handled: int = 0) -> None:
        with self._room:
            self._in_hand -= jobs
            self._handled += handled
            if jobs and not self._in_hand:
                self._busy_seconds += time.monotonic() - self._busy_since
            self._room.notify_all()

    # Threads

    def _spawn(self, name: str, count: int, loop: Callable[[], None]) -> None:
        self._threads[name] = [
            threading.Thread(target=self._guarded, args=(loop,), name=f"{name}-{i}", daemon=True)
            for i in range(count)
        ]
        for thread in self._threads[name]:
            thread.start()

    def _guarded(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except BaseException as error:  # what nobody expected ends the process
            self._crashed(error)

    def _join(self, name: str, feed: "queue.Queue[_T | None] | None", deadline: float) -> None:
        if feed is not None:
            feed.put(None)
        for thread in self._threads[name]:
            thread.join(max(0.0, deadline - time.monotonic()))


def _take(feed: "queue.Queue[_T | None]", most: int) -> "list[_T] | None":
    """Wait for one, then take what else is there, up to `most`; None when the feed has ended."""
    first = feed.get()
    if first is None:
        return None
    taken = [first]
    while len(taken) < most:
        try:
            item = feed.get_nowait()
        except queue.Empty:
            break
        if item is None:
            feed.put(None)
            break
        taken.append(item)
    return taken
