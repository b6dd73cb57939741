"""Of the scaler, until its metrics are its own."""

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """How often values fell between bounds: `counts` has one more for what is above the last."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one value; a bound belongs to what is below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
