"""Simulated EC2 markets, tried in the same order as by the real fleet."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from visionfleet.config.fields import Market
from visionfleet.fleet.offerings import SHORT_SECONDS, Offerings, in_order
from visionfleet.scaler.decision import Worker

NOTICE_SECONDS = 120  # from the interruption notice to the end
_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class MarketConditions:
    """`markets` are in order of preference. Spot refuses a share `spot_refusals` of the launches,
    and interrupts each worker at the rate `interruptions_per_hour`.
    """

    markets: tuple[Market, ...] = ("on-demand",)
    spot_refusals: float = 0.0
    interruptions_per_hour: float = 0.0


@dataclass(slots=True)
class Markets:
    conditions: MarketConditions
    random: Random
    minimum_billed_seconds: int = 60
    refusals: int = 0
    interruptions: int = 0
    billed_seconds: dict[Market, float] = field(init=False)
    _offerings: Offerings = field(init=False)

    def __post_init__(self) -> None:
        self.billed_seconds = {"spot": 0.0, "on-demand": 0.0}
        self._offerings = Offerings(in_order(self.conditions.markets, (), ()), self.random)

    def launch(self, now: float) -> Market | None:
        """The market on which a launch succeeds; None if all refuse."""
        for offering in self._offerings.open(now):
            rate = self.conditions.spot_refusals if offering.market == "spot" else 0.0
            if rate and self.random.random() < rate:
                self.refusals += 1
                self._offerings.close(offering, SHORT_SECONDS, now, "no capacity")
                continue
            self._offerings.succeeded()
            return offering.market
        return None

    def bill(self, worker: Worker, now: float) -> None:
        lived = now - worker.launched_at
        paid = max(self.minimum_billed_seconds, lived)
        self.billed_seconds[worker.market or "on-demand"] += paid

    def interrupted(self, workers: Iterable[Worker]) -> Worker | None:
        """The spot worker that gets a notice in this second, if any."""
        rate = self.conditions.interruptions_per_hour
        if not rate:
            return None
        spot = [worker for worker in workers if worker.market == "spot"]
        if self.random.random() >= rate * len(spot) / _SECONDS_PER_HOUR:
            return None
        self.interruptions += 1
        return self.random.choice(spot)
