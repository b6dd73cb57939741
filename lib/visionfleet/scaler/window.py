"""Samples of a sliding window. No I/O here."""

from typing import TypeVar

_N = TypeVar("_N")


def within(samples: tuple[tuple[float, _N], ...], start: float) -> tuple[tuple[float, _N], ...]:
    """The samples since `start`, and the last one before it, which covers the start."""
    first = 0
    while first + 1 < len(samples) and samples[first + 1][0] <= start:
        first += 1
    return samples[first:]
