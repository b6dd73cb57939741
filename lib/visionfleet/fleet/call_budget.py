"""How many calls EC2 takes: some at once, and a few more each second. No I/O here."""

from dataclasses import dataclass

# AWS throttles RunInstances, rehearsals too, to a bucket of five that gets two more a second.
AT_ONCE = 5
_PER_SECOND = 2.0


@dataclass(slots=True)
class CallBudget:
    """What is left of the bucket, as far as we alone take from it. Times are of one clock."""

    _left: float = AT_ONCE
    _at: float = 0.0

    def left(self, now: float) -> int:
        self._left = min(AT_ONCE, self._left + _PER_SECOND * max(0.0, now - self._at))
        self._at = now
        return int(self._left)

    def spend(self, now: float) -> None:
        self.left(now)
        self._left = max(0.0, self._left - 1)
