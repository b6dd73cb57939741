"""How many messages a pipeline has in hand, and whether it has room for more."""

import threading
import time


class InFlight:
    """Counts messages in and out; `most` of them may be in hand. Threads share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._changed = threading.Condition()
        self._closed = False
        self._in_hand = 0
        self._handled = 0
        self._busy_seconds = 0.0
        self._busy_since = 0.0

    def wait_for_room(self) -> int:
        """Wait until there is room; returns for how many, 0 once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._in_hand < self._most)
            return 0 if self._closed else self._most - self._in_hand

    def close(self) -> None:
        """Let nobody wait for room any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, messages: int) -> None:
        """Count messages in."""
        with self._changed:
            if messages and not self._in_hand:
                self._busy_since = time.monotonic()
            self._in_hand += messages

    def let_go(self, messages: int, handled: int = 0) -> None:
        """Count messages out, `handled` of them with a result."""
        with self._changed:
            self._in_hand -= messages
            self._handled += handled
            if messages and not self._in_hand:
                self._busy_seconds += time.monotonic() - self._busy_since
            self._changed.notify_all()

    def tally(self) -> tuple[int, int, float | None]:
        """Say what is in hand, what was handled, and the time with work in hand per image."""
        with self._changed:
            now = time.monotonic()
            busy = self._busy_seconds + (now - self._busy_since if self._in_hand else 0.0)
            mean = busy / self._handled if self._handled else None
            return self._in_hand, self._handled, mean
