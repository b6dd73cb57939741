"""The stages of a classifier, in order: receive, fetch, classify, store, finish."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from visionfleet.classifier.capacity import StageMeter
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.classifier.receive import Receiver
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.host.daemon_threads import Crashed, run_bounded, run_in_thread
from visionfleet.host.watchdog import Watchdog

log = logging.getLogger("classifier")

T = TypeVar("T")

_HAND_BACK_SECONDS = 3.0


class PipelineStage(Generic[T]):
    """Threads that call `work` with batches of up to the meter's `batch` items.

    A batch is what is waiting, plus what arrives while `gather` blocks after the first item. The
    queue is bounded by the number of messages in flight.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[list[T]], None],
        loops: Watchdog,
        meter: StageMeter,
        gather: Callable[[], object] | None = None,
    ) -> None:
        self._work, self._loops, self._meter, self._gather = work, loops, meter, gather
        self.thread_names = tuple(f"{name}-{number}" for number in range(meter.width))
        # None ends the stage: each thread puts it back for the next one.
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        # Only one thread gathers at a time, or they would split a batch.
        self._gathering = threading.Lock() if meter.batch > 1 else nullcontext()

    def put(self, item: T) -> None:
        self._items.put(item)

    def start(self, crashed: Crashed) -> None:
        self._threads = [
            run_in_thread(name, partial(self._run, name), crashed) for name in self.thread_names
        ]

    def finish(self, deadline: float) -> None:
        """Let the threads finish what is queued and end, by the monotonic `deadline`."""
        self._items.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, thread: str) -> None:
        while batch := self._next_batch():
            self._loops.step(thread)
            began = time.monotonic()
            self._work(batch)
            self._meter.note(len(batch), time.monotonic() - began)
            self._loops.rest(thread)
        self._items.put(None)

    def _next_batch(self) -> list[T]:
        with self._gathering:
            return self._take()

    def _take(self) -> list[T]:
        """Wait for an item, then take what else is queued; empty when the stage has ended."""
        taken: list[T] = []
        item = self._items.get()
        if item is not None and self._gather and self._items.qsize() + 1 < self._meter.batch:
            self._gather()
        while item is not None:
            taken.append(item)
            if len(taken) == self._meter.batch:
                return taken
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return taken
        if taken:
            self._items.put(None)
        return taken


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Receives until `receiver.close`; `finish` ends it when nothing is left in flight."""

    receiver: Receiver
    stages: Sequence[PipelineStage[Any]]  # in processing order
    completion: Completion
    heartbeat: VisibilityHeartbeat
    handing_back: threading.Event
    crashed: Crashed
    _stop_heartbeat: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        run_in_thread("heartbeat", lambda: self.heartbeat.run(self._stop_heartbeat), self.crashed)
        for stage in (*reversed(self.stages), self.receiver):
            stage.start(self.crashed)

    def finish(self, hand_back: bool, deadline: float) -> bool:
        """End all threads by the monotonic `deadline`; returns whether nothing is left in flight.

        `hand_back` returns messages that have not reached the model at once, and stuck ones within
        three seconds after the deadline; a pending long poll is abandoned after a second.
        """
        self.receiver.close()
        if hand_back:
            self.handing_back.set()
        self.receiver.join(min(deadline, time.monotonic() + 1.0) if hand_back else deadline)
        if not hand_back:
            self.completion.in_flight.wait_until_done(deadline)
        for stage in self.stages:
            stage.finish(deadline)
        self._stop_heartbeat.set()
        return not self.counts().in_flight or (hand_back and self._hand_back_rest())

    def hand_back_held_up(self, seconds: float) -> None:
        """Hand back what S3 alone holds up, for so long if it does not answer."""
        if held_up := self.completion.in_flight.held_up(time.monotonic() - seconds):
            self.completion.hand_back(held_up)

    def counts(self) -> WorkCounts:
        return self.completion.in_flight.counts()

    def working(self) -> bool:
        """Whether to wait for work in flight; lost deliveries, which may hang, do not count."""
        return self.receiver.alive() or bool(self.completion.in_flight.unfinished())

    def _hand_back_rest(self) -> bool:
        rest = self.completion.in_flight.held()
        if not rest:
            return self.counts().in_flight == 0
        log.warning("out of time, handing back", extra={"messages": len(rest)})
        answers: list[bool] = []
        hand_back = lambda: answers.append(self.completion.hand_back(rest))  # noqa: E731
        run_bounded("hand back", hand_back, _HAND_BACK_SECONDS, self.crashed)  # SQS may hang too
        return answers == [True]
