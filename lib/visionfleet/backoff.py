"""Exponential backoff with full jitter. No I/O here."""

from collections.abc import Iterator
from random import Random


def backoff_seconds(attempt: int, random: Random, base: float = 2.0, cap: float = 120.0) -> float:
    """Draw the wait before the next try, `attempt` counting from 1.

    Full jitter, as in the AWS Architecture Blog's "Exponential Backoff And Jitter": uniform between
    0 and min(cap, base * 2^(attempt-1)), to spread simultaneous retries.
    """
    return random.uniform(0, min(cap, base * 2 ** min(attempt - 1, 30)))


def growing_waits(random: Random, base: float = 0.5, cap: float = 30.0) -> Iterator[float]:
    """Yield waits forever: at least half of each step, so that a loop never spins."""
    attempt = 1
    while True:
        step = min(cap, base * 2 ** min(attempt - 1, 30))
        yield step / 2 + random.uniform(0, step / 2)
        attempt += 1
