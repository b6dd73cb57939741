"""One stage of the pipeline: its bounded queue, and the threads that work through it."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from visionfleet.host.threads import Crashed, run_in_thread

T = TypeVar("T")


class PipelineStage(Generic[T]):
    """Calls `work` with up to `batch` items at a time, on `threads` threads, in order of arrival.

    At most `room` items wait. A batch is what waits already: nothing is held back to fill it.
    """

    def __init__(
        self, name: str, work: Callable[[list[T]], None], threads: int, batch: int, room: int
    ) -> None:
        self._name, self._work, self._count, self._batch = name, work, threads, batch
        # None ends the stage: each thread that takes it leaves it to the next.
        self._items: queue.Queue[T | None] = queue.Queue(room + 1)
        self._threads: list[threading.Thread] = []

    def put(self, item: T) -> None:
        self._items.put(item)

    def start(self, crashed: Crashed) -> None:
        names = [f"{self._name}-{number}" for number in range(self._count)]
        self._threads = [run_in_thread(name, self._run, crashed) for name in names]

    def finish(self, deadline: float) -> None:
        """Work off what waits, and end the threads, until the monotonic `deadline`."""
        self._items.put(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while batch := self._take():
            self._work(batch)
        self._items.put(None)

    def _take(self) -> list[T]:
        """Wait for one item, then take what else is there; nothing when the stage has ended."""
        taken: list[T] = []
        item = self._items.get()
        while item is not None:
            taken.append(item)
            if len(taken) == self._batch:
                return taken
            try:
                item = self._items.get_nowait()
            except queue.Empty:
                return taken
        if taken:
            self._items.put(None)
        return taken
