"""Holds back the calls of one kind to EC2 after one that failed. No I/O here."""

from dataclasses import dataclass
from random import Random

from visionfleet.backoff import backoff_seconds
from visionfleet.errors import TryLater


@dataclass(slots=True)
class CircuitBreaker:
    """`doing` names the calls, for sentences. Times are of one clock."""

    doing: str
    random: Random
    _failures: int = 0
    _closed_until: float = 0.0

    def open(self, now: float) -> bool:
        """Tell whether a call may be made."""
        return now >= self._closed_until

    def require(self, now: float) -> None:
        """Raise TryLater while calls are held back."""
        if not self.open(now):
            left = self._closed_until - now
            raise TryLater(f"{self.doing}: EC2 is left alone for another {left:.0f} s")

    def passed(self) -> None:
        """Take note of a call that went well."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """Take note of a call that may go well later: back off, with full jitter."""
        self._failures += 1
        self._closed_until = now + backoff_seconds(self._failures, self.random)

    def refused(self, now: float, seconds: float) -> None:
        """Take note of a call that a person must mend: leave EC2 alone for so long."""
        self._closed_until = now + seconds
