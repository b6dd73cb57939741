"""Simulated start times: of stopped instances while there are any, else of new ones."""

import math
from collections import deque
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, slots=True)
class StoppedTier:
    """A warm pool of stopped instances.

    A start takes `start_seconds`; a terminated one is stopped instead, which takes `stop_seconds`,
    and can be started again.
    """

    instances: int = 0
    start_seconds: float = 20.0
    stop_seconds: float = 30.0


@dataclass(slots=True)
class Starts:
    """`boot_spread` is the standard deviation of the log of the start time."""

    boot_seconds: float
    boot_spread: float
    tier: StoppedTier
    random: Random
    _ready_at: deque[float] = field(init=False)
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ready_at = deque([0.0] * self.tier.instances)

    def next_takes(self, now: float) -> float:
        """The median duration of the next start."""
        stands = bool(self._ready_at) and self._ready_at[0] <= now
        return self.tier.start_seconds if stands else self.boot_seconds

    def up_at(self, name: str, now: float) -> float:
        """Start a worker; returns when it will be ready."""
        seconds = self.next_takes(now)
        if self._ready_at and self._ready_at[0] <= now:
            self._ready_at.popleft()
            self._taken.add(name)
        return now + seconds * math.exp(self.random.gauss(0, self.boot_spread))

    def ended(self, name: str, now: float) -> None:
        if name in self._taken:
            self._taken.remove(name)
            self._ready_at.append(now + self.tier.stop_seconds)
