"""How long a worker that is not needed stays: as long as would lately have cost least. No I/O here.

One that is kept costs its time; one that left, and is needed again, costs a boot and a wait for it.
Of some lengths it is reckoned what each would have cost, and the past is forgotten by and by.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

# Lengths, in shares of the setting: the first of the cheapest is taken.
SHARES: Final = (1.0, 0.5, 0.25, 2.0)
LONGEST: Final = max(SHARES)
# A start costs the boot that is paid for, and those who wait for it, at twice that.
_START_BOOTS = 3.0
_FORGET_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Cooldown:
    """`peaks` are the sizes that were worth keeping, each with when it last was, the greatest and
    oldest first. For each share there is the size that it would have kept, and its cost lately.
    """

    since: float = math.inf
    at: float = math.inf
    seconds: float = 0.0
    peaks: tuple[tuple[float, int], ...] = ()
    sizes: tuple[int, ...] = ()
    costs: tuple[float, ...] = ()

    def keeps(self, now: float) -> int | None:
        """Count the workers that were worth keeping, None if not watched for long enough."""
        return None if self.since > now - self.seconds else self._size(now - self.seconds)

    def noted(self, size: int, hold: float, boot_seconds: float, now: float) -> "Cooldown":
        """Take note of the size worth keeping now; what was last seen held until now."""
        held = [(now, self.peaks[-1][1])] if self.peaks else []
        peaks = [peak for peak in (*self.peaks[:-1], *held) if peak[1] > size]
        recent = tuple(peak for peak in peaks if peak[0] >= now - LONGEST * hold)
        after = replace(self, since=min(self.since, now), at=now, peaks=(*recent, (now, size)))
        sizes = tuple(after._size(now - share * hold) for share in SHARES)
        costs = self._costs(sizes, _START_BOOTS * boot_seconds, now)
        return replace(after, sizes=sizes, costs=costs, seconds=_cheapest(costs) * hold)

    def _size(self, start: float) -> int:
        return next((size for at, size in self.peaks if at > start), self.peaks[-1][1])

    def _costs(self, sizes: tuple[int, ...], start_cost: float, now: float) -> tuple[float, ...]:
        """In worker-seconds. The setting itself is ahead of the others by a start."""
        if not self.sizes:
            return tuple(0.0 if share == 1.0 else start_cost for share in SHARES)
        passed = now - self.at
        left = math.exp(-passed / _FORGET_SECONDS)
        return tuple(
            cost * left + before * passed + start_cost * max(0, size - before)
            for cost, before, size in zip(self.costs, self.sizes, sizes, strict=True)
        )


def _cheapest(costs: tuple[float, ...]) -> float:
    return SHARES[costs.index(min(costs))]
