"""Token buckets: how often each key may ask. No I/O here."""

from dataclasses import dataclass

# A bucket holds what its rate fills in this time, so that a burst of a page or a script passes.
BURST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens at a moment; it holds `per_second * BURST_SECONDS`, and at least one."""

    tokens: float
    at: float


def most(per_second: float) -> float:
    """Tell how many tokens a bucket holds."""
    return max(1.0, per_second * BURST_SECONDS)


def take(bucket: Bucket | None, per_second: float, now: float) -> tuple[Bucket, float]:
    """Take one token; returns the bucket as it is then, and the seconds to wait, 0 if it passed.

    None is a bucket that was not used before, so it is full.
    """
    full = most(per_second)
    if bucket is None:
        bucket = Bucket(full, now)
    tokens = min(full, bucket.tokens + (now - bucket.at) * per_second)
    if tokens >= 1:
        return Bucket(tokens - 1, now), 0.0
    return Bucket(tokens, now), (1 - tokens) / per_second
