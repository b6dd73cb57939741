"""Holds back the calls of one kind to EC2 after one that failed. No I/O here."""

from dataclasses import dataclass
from random import Random

from visionfleet.backoff import backoff_seconds
from visionfleet.errors import TryLater


@dataclass(slots=True)
class CircuitBreaker:
    """While it is open no call is made. `doing` names the calls; times are of one clock."""

    doing: str
    random: Random
    _failures: int = 0
    _open_until: float = 0.0

    def allows(self, now: float) -> bool:
        return now >= self._open_until

    def require(self, now: float) -> None:
        """Raise TryLater while calls are held back."""
        if not self.allows(now):
            left = self._open_until - now
            raise TryLater(f"{self.doing}: EC2 is left alone for another {left:.0f} s")

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, now: float) -> None:
        """Open after a call that may go well later: back off, with full jitter."""
        self._failures += 1
        self._open_until = now + backoff_seconds(self._failures, self.random)

    def refused(self, now: float, seconds: float) -> None:
        """Open for so long after a call that a person must mend."""
        self._open_until = now + seconds
