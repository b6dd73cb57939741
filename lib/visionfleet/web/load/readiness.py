"""Readiness of this process: plain state, with a clock as argument. No I/O here."""

from collections import deque
from collections.abc import Callable

FAILURES = 3
FAILURE_SECONDS = 30.0


class Readiness:
    """`clock` is monotonic. Fields are set from several threads, each by a single assignment."""

    def __init__(self, poll_limit_seconds: float, clock: Callable[[], float]) -> None:
        self._poll_limit_seconds = poll_limit_seconds
        self.clock = clock
        self.polled_at = clock()  # when the reply queue answered
        # When S3 or SQS did not take an upload, since the last one that they took.
        self.failures: deque[float] = deque(maxlen=FAILURES)
        self.answered = True  # whether S3 and SQS answered the last refresh of the load
        self.started = False
        self.stopping = False

    def reasons(self) -> list[str]:
        """Why no requests should be routed here; empty if ready."""
        silent = self.clock() - self.polled_at
        judged = {
            "starting": not self.started,
            "stopping": self.stopping,
            f"the reply queue has not answered for {silent:.0f} s": (
                silent > self._poll_limit_seconds
            ),
            f"S3 or SQS refused the last {FAILURES} uploads": self._failing(),
            "S3 or SQS do not answer": not self.answered,
        }
        return [reason for reason, holds in judged.items() if holds]

    def _failing(self) -> bool:
        """Failures expire, so that a process that gets no requests is tried again."""
        full = len(self.failures) == FAILURES
        return full and self.clock() - self.failures[0] <= FAILURE_SECONDS
