"""Adapts the scale-in cooldown to the load. No I/O here.

Keeping a surplus worker costs its time; draining one that is needed again costs a boot and a wait.
The cost that each candidate length would have had is tracked with exponential decay, and the
cheapest is used.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

# Candidates, as multiples of the setting; the first of the cheapest is used.
SHARES: Final = (1.0, 0.5, 0.25, 2.0)
LONGEST: Final = max(SHARES)
# A restart costs the boot itself plus the clients' waiting, valued at twice the boot.
_START_BOOTS = 3.0
_FORGET_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class Cooldown:
    """`peaks` are (last time, size) pairs of the sizes worth keeping, largest and oldest first.
    `sizes` and `costs` are per candidate: the fleet size it would have kept, and its recent cost.
    """

    since: float = math.inf
    at: float = math.inf
    seconds: float = 0.0
    peaks: tuple[tuple[float, int], ...] = ()
    sizes: tuple[int, ...] = ()
    costs: tuple[float, ...] = ()

    def size_to_keep(self, now: float) -> int | None:
        """The number of workers to keep; None if not observed for a whole cooldown."""
        return None if self.since > now - self.seconds else self._size(now - self.seconds)

    def updated(self, size: int, hold: float, boot_seconds: float, now: float) -> "Cooldown":
        """Record the size worth keeping now; the last one counts until now."""
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
        """In worker-seconds. All but the configured length start one restart behind."""
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
