"""Is this process fit to take work? Plain facts with a clock as argument. No I/O here."""

from collections import deque
from collections.abc import Callable

FAILURES = 3
FAILURE_SECONDS = 30.0


class Readiness:
    """What readiness is judged by. `clock` is monotonic, in seconds.

    Fields are set from several threads, each by a single assignment.
    """

    def __init__(self, poll_limit_seconds: float, clock: Callable[[], float]) -> None:
        self._poll_limit_seconds = poll_limit_seconds
        self._clock = clock
        self._polled_at = clock()
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._answered = True
        self.started = False
        self.stopping = False

    def polled(self) -> None:
        """Note that the reply queue answered."""
        self._polled_at = self._clock()

    def worked(self) -> None:
        """Note that S3 and SQS took an upload."""
        self._failures.clear()

    def failed(self) -> None:
        """Note that S3 or SQS did not take an upload."""
        self._failures.append(self._clock())

    def looked(self, answered: bool) -> None:
        """Note whether S3 and SQS answered when they were asked for the state of the fleet."""
        self._answered = answered

    def reasons(self) -> list[str]:
        """List why no work should come here; empty when it may."""
        found = []
        if not self.started:
            found.append("starting")
        if self.stopping:
            found.append("stopping")
        silent = self._clock() - self._polled_at
        if silent > self._poll_limit_seconds:
            found.append(f"the reply queue has not answered for {silent:.0f} s")
        if self._failing():
            found.append(f"S3 or SQS refused the last {FAILURES} uploads")
        if not self._answered:
            found.append("S3 or SQS do not answer")
        return found

    def _failing(self) -> bool:
        """A failure fades, so that a process that gets no work for it is tried again."""
        full = len(self._failures) == FAILURES
        return full and self._clock() - self._failures[0] <= FAILURE_SECONDS
