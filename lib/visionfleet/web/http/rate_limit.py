"""How often each key may ask, and how often a refusal is logged. No I/O here."""

from collections.abc import Callable
from dataclasses import dataclass

# A bucket holds what its rate fills in this time, so that a burst of a page or a script passes.
BURST_SECONDS = 10.0
# Facts of one kind are told once in this time.
TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens at a moment; it holds `per_second * BURST_SECONDS`, and at least one."""

    tokens: float
    at: float


def take(bucket: Bucket | None, per_second: float, now: float) -> tuple[Bucket, float]:
    """Take one token of a bucket, None is a full one; gives seconds to wait, 0 if it passed."""
    full = max(1.0, per_second * BURST_SECONDS)
    if bucket is None:
        bucket = Bucket(full, now)
    tokens = min(full, bucket.tokens + (now - bucket.at) * per_second)
    if tokens >= 1:
        return Bucket(tokens - 1, now), 0.0
    return Bucket(tokens, now), (1 - tokens) / per_second


class LogThrottle:
    """Counts facts, so that one line at a time tells of many. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told_at: float | None = None
        self._count = 0

    def add(self) -> int:
        """Count one; returns how many are to be told now, 0 while the last time was just now."""
        self._count += 1
        now = self._clock()
        if self._told_at is not None and now - self._told_at < TELL_SECONDS:
            return 0
        count, self._count, self._told_at = self._count, 0, now
        return count
