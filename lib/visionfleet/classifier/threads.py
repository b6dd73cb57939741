"""The threads of a pipeline and the feeds between them."""

import queue
import threading
import time
from collections.abc import Callable
from typing import TypeAlias, TypeVar

from visionfleet.host.threads import Crashed, run_in_thread

T = TypeVar("T")

# None ends a feed: whoever takes it puts it back for the next.
Feed: TypeAlias = "queue.Queue[T | None]"


class ThreadGroup:
    """Daemon threads by name. What nobody expected in one of them goes to `crashed`."""

    def __init__(self, crashed: Crashed) -> None:
        self._crashed = crashed
        self._threads: dict[str, list[threading.Thread]] = {}

    def spawn(self, name: str, count: int, loop: Callable[[], None]) -> None:
        """Start `count` threads that run `loop`."""
        self._threads[name] = [
            run_in_thread(f"{name}-{i}", loop, self._crashed) for i in range(count)
        ]

    def alive(self, name: str) -> bool:
        """Tell whether any thread of the name still runs."""
        return any(thread.is_alive() for thread in self._threads[name])

    def join(self, name: str, feed: "Feed[T] | None", deadline: float) -> None:
        """End the feed of the threads and wait for them, until the monotonic `deadline`."""
        if feed is not None:
            feed.put(None)
        for thread in self._threads[name]:
            thread.join(max(0.0, deadline - time.monotonic()))


def take(feed: "Feed[T]", most: int) -> list[T] | None:
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
