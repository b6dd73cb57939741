"""Stops one kind of EC2 calls for a while after a failure. No I/O here."""

from dataclasses import dataclass
from random import Random

from visionfleet.backoff import backoff_seconds
from visionfleet.errors import TryLater


@dataclass(slots=True)
class CircuitBreaker:
    """While open, no call is made. `doing` names the calls in errors; times are of one clock."""

    doing: str
    random: Random
    _failures: int = 0
    _open_until: float = 0.0

    def allows(self, now: float) -> bool:
        return now >= self._open_until

    def require(self, now: float) -> None:
        """Raise TryLater while open."""
        if not self.allows(now):
            left = self._open_until - now
            raise TryLater(f"{self.doing}: EC2 is left alone for another {left:.0f} s")

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        """Open after a retryable failure: exponential backoff with full jitter."""
        self._failures += 1
        self._open_until = now + backoff_seconds(self._failures, self.random)

    def refused(self, now: float, seconds: float) -> None:
        """Open for a fixed time after a failure that an operator must repair."""
        self._open_until = now + seconds
