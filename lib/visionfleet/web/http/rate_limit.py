"""Token buckets for API keys, and throttling of log lines. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass

# The burst allowance, in seconds of the rate.
BURST_SECONDS = 10.0
# At most one log line of a kind in this time.
TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """The tokens at a point in time; the maximum is `per_second * BURST_SECONDS`, at least 1."""

    tokens: float
    at: float


def take(bucket: Bucket | None, per_second: float, now: float) -> tuple[Bucket, float]:
    """Take a token; None is a full bucket. Returns the seconds to wait, 0 if granted."""
    full = max(1.0, per_second * BURST_SECONDS)
    if bucket is None:
        bucket = Bucket(full, now)
    tokens = min(full, bucket.tokens + (now - bucket.at) * per_second)
    if tokens >= 1:
        return Bucket(tokens - 1, now), 0.0
    return Bucket(tokens, now), (1 - tokens) / per_second


class LogThrottle:
    """Counts events, so that one log line stands for many. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_at: float | None = None
        self._count = 0

    def add(self) -> int:
        """Count one; returns how many to log now, 0 if a line was logged recently."""
        self._count += 1
        now = self._clock()
        if self._told_at is not None and now - self._told_at < TELL_SECONDS:
            return 0
        count, self._count, self._told_at = self._count, 0, now
        return count
