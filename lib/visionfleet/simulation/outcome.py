"""The outcome of a replay: cost and waiting times."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcome:
    """`waits` is a histogram of whole seconds in the queue. `billed_hours` are worker-hours with
    the minimum per start, `on_demand_hours` the part not on spot, `work_hours` pure service time;
    `busy_kills` are workers terminated in the middle of an image.
    """

    waits: Mapping[int, int]
    billed_hours: float
    work_hours: float
    launches: int
    busy_kills: int
    peak_workers: int
    unserved: int
    on_demand_hours: float = 0.0
    spot_refusals: int = 0
    interruptions: int = 0
    lost: int = 0
    timeline: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)

    @property
    def served(self) -> int:
        return sum(self.waits.values())

    def wait_quantile(self, share: float) -> float:
        below, limit = 0, share * self.served
        for seconds in sorted(self.waits):
            below += self.waits[seconds]
            if below >= limit:
                return float(seconds)
        return 0.0

    def figures(self) -> dict[str, float]:
        waited = sum(wait * count for wait, count in self.waits.items())
        return {
            "p50_wait_seconds": self.wait_quantile(0.5),
            "p95_wait_seconds": self.wait_quantile(0.95),
            "p99_wait_seconds": self.wait_quantile(0.99),
            "mean_wait_seconds": round(waited / max(1, self.served), 3),
            "billed_hours": round(self.billed_hours, 2),
            "work_hours": round(self.work_hours, 2),
            "launches": self.launches,
            "busy_kills": self.busy_kills,
            "peak_workers": self.peak_workers,
            "unserved": self.unserved,
            "on_demand_hours": round(self.on_demand_hours, 2),
            "spot_refusals": self.spot_refusals,
            "interruptions": self.interruptions,
            "lost": self.lost,
        }
