"""Monthly cost and waiting times of alternative fleets: replays with prices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from visionfleet.cost.bill import (
    HOURS_PER_MONTH,
    OF_A_QUIET_HOUR,
    OF_A_WORKER_HOUR,
    OF_AN_AWAKE_HOUR,
    OF_AN_IMAGE,
)
from visionfleet.cost.prices import Calls, PriceTable
from visionfleet.simulation.markets import MarketConditions
from visionfleet.simulation.outcome import Outcome

if TYPE_CHECKING:
    from visionfleet.config.fields import Market
    from visionfleet.config.scaler import ScheduleWindow


# By name, in order of preference; `both` falls back to on demand when spot refuses.
MARKETS: Mapping[str, tuple["Market", ...]] = {
    "spot": ("spot",),
    "on-demand": ("on-demand",),
    "both": ("spot", "on-demand"),
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule windows, in words and as the setting."""

    words: str = "none"
    windows: tuple["ScheduleWindow", ...] = ()


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay depends on; options that differ only in price share one."""

    service_seconds: float
    hold_seconds: float
    schedule: Schedule
    market: MarketConditions = field(default_factory=MarketConditions)


@dataclass(frozen=True, slots=True)
class Option:
    """One possible fleet; `market` is a key of `MARKETS`."""

    instance_type: str
    market: str
    replayed: Replayed


@dataclass(frozen=True, slots=True)
class Estimate:
    """An option with its replay's figures; dollars are per month of 730 hours. `held_back`: it
    reached the maximum.
    """

    option: Option
    worker_dollars: float
    call_dollars: float
    dollars_per_thousand_images: float | None
    p95_wait_seconds: float
    peak_workers: int
    unserved: int
    held_back: bool

    @property
    def dollars(self) -> float:
        return self.worker_dollars + self.call_dollars

    def figures(self) -> dict[str, object]:
        replayed = self.option.replayed
        return {
            "instance_type": self.option.instance_type,
            "market": self.option.market,
            "service_seconds": replayed.service_seconds,
            "hold_seconds": replayed.hold_seconds,
            "schedule": replayed.schedule.words,
            "dollars_a_month": round(self.dollars, 2),
            "worker_dollars": round(self.worker_dollars, 2),
            "call_dollars": round(self.call_dollars, 2),
            "dollars_per_thousand_images": self.dollars_per_thousand_images,
            "p95_wait_seconds": self.p95_wait_seconds,
            "peak_workers": self.peak_workers,
            "unserved": self.unserved,
        }


def service_seconds(
    types: Sequence[tuple[str, float | None]], reference_seconds: float, prices: PriceTable
) -> dict[str, float]:
    """Seconds per image on each type: as measured, else scaled by vCPUs from the first type."""
    first = prices.instances[types[0][0]].vcpus
    return {
        name: reference_seconds * first / prices.instances[name].vcpus if known is None else known
        for name, known in types
    }


def estimate(
    option: Option, outcome: Outcome, hours: float, prices: PriceTable, maximum: int
) -> Estimate | None:
    """Price a replay of `hours`; None if the option has no price."""
    dollars = _worker_dollars(option, outcome, prices)
    if dollars is None:
        return None
    months = HOURS_PER_MONTH / hours
    workers = dollars * months
    calls = prices.of_calls(calls_a_month(outcome, months)) or 0.0
    images = outcome.served * months
    return Estimate(
        option=option,
        worker_dollars=workers,
        call_dollars=calls,
        dollars_per_thousand_images=(workers + calls) * 1000 / images if images else None,
        p95_wait_seconds=outcome.wait_quantile(0.95),
        peak_workers=outcome.peak_workers,
        unserved=outcome.unserved,
        held_back=outcome.peak_workers >= maximum,
    )


def _worker_dollars(option: Option, outcome: Outcome, prices: PriceTable) -> float | None:
    on_demand = outcome.on_demand_hours
    shares: Mapping[str, float] = {option.market: outcome.billed_hours}
    if option.market == "both":
        shares = {"spot": outcome.billed_hours - on_demand, "on-demand": on_demand}
    dollars = 0.0
    for market, hours in shares.items():
        hourly = prices.hourly(option.instance_type, market)
        if hourly is None:
            return None
        dollars += hours * hourly
    return dollars


def calls_a_month(outcome: Outcome, months: float) -> Calls:
    points = outcome.timeline
    awake = sum(size > 0 for _, _, size in points) / max(1, len(points))
    return (
        OF_AN_IMAGE * (outcome.served * months)
        + OF_A_WORKER_HOUR * (outcome.billed_hours * months)
        + (OF_A_QUIET_HOUR + OF_AN_AWAKE_HOUR * awake) * HOURS_PER_MONTH
    )


def by_cost(estimates: Iterable[Estimate]) -> list[Estimate]:
    return sorted(estimates, key=lambda one: (one.dollars, one.p95_wait_seconds))


def cheapest_within(estimates: Iterable[Estimate], p95_seconds: float) -> Estimate | None:
    """The cheapest that serves everything with a p95 wait of at most `p95_seconds`."""
    good = (e for e in by_cost(estimates) if not e.unserved and e.p95_wait_seconds <= p95_seconds)
    return next(good, None)


def quickest(estimates: Iterable[Estimate]) -> Estimate | None:
    """The nearest miss, if none is fast enough."""
    ordered = sorted(by_cost(estimates), key=lambda e: (e.unserved, e.p95_wait_seconds))
    return next(iter(ordered), None)
