"""A token bucket that keeps our calls below EC2's request limit. No I/O here."""

from dataclasses import dataclass

# AWS limits RunInstances, dry runs included, by a token bucket of 5, refilled at 2 per second.
AT_ONCE = 5
_PER_SECOND = 2.0


@dataclass(slots=True)
class CallBudget:
    """The tokens left, as far as this process uses them. Times are of one clock."""

    _left: float = AT_ONCE
    _at: float = 0.0

    def left(self, now: float) -> int:
        self._left = min(AT_ONCE, self._left + _PER_SECOND * max(0.0, now - self._at))
        self._at = now
        return int(self._left)

    def spend(self, now: float) -> None:
        self.left(now)
        self._left = max(0.0, self._left - 1)
