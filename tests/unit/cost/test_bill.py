"""What days of use cost, what has no price, and what a thousand images come to."""

from datetime import date

import pytest

from visionfleet.contract.usage import DayUsage, WorkerTime
from visionfleet.cost.bill import fleet_cost, period_cost
from visionfleet.cost.prices import PriceTable

TODAY = date(2026, 11, 29)
TABLE = PriceTable.read("""
date: 2026-11-29
source: nowhere
region: us-east-1
instances: {c7i.large: {vcpus: 2, on_demand: 0.36, spot: 0.036}}
calls: {s3_write: 5, s3_read: 0.4, sqs: 0.4}
""")


def day(name: str, images: int = 0, **seconds: float) -> DayUsage:
    """Make a day with seconds of c7i.large by market; `none` is of no known type."""
    kinds = {"spot": ("c7i.large", "spot"), "on_demand": ("c7i.large", "on-demand")}
    kinds |= {"other": ("m9.huge", "spot")}
    workers = tuple(
        WorkerTime(
            instance_type=kinds.get(kind, (None, None))[0],
            market=kinds.get(kind, (None, None))[1],
            seconds=amount,
        )
        for kind, amount in seconds.items()
    )
    return DayUsage(day=name, images=images, workers=workers)


def test_workers_and_calls_are_priced_and_divided_by_images() -> None:
    cost = period_cost("today", [day("2026-11-29", 1000, spot=7200, on_demand=3600)], TABLE)
    assert cost.worker_dollars == pytest.approx(0.072 + 0.36)
    calls = 1000 * (2 * 5 + 0.4 + 6 * 0.4) + 3 * (120 * 5 + 1560 * 0.4 + 180 * 0.4)
    assert cost.call_dollars == pytest.approx(calls / 1e6, abs=1e-6)
    assert cost.dollars == pytest.approx(0.432 + calls / 1e6, abs=1e-6)
    assert cost.dollars_per_thousand_images == pytest.approx(cost.dollars, abs=1e-6)
    assert (cost.worker_seconds, cost.images, cost.unpriced) == (10800, 1000, ())
    assert cost.calls == 9 * 1000 + 3 * 1860


def test_what_has_no_price_is_named_and_not_guessed() -> None:
    cost = period_cost("today", [day("2026-11-29", 5, spot=3600, none=60, other=60)], TABLE)
    assert cost.unpriced == ("m9.huge, spot", "workers that are not on EC2")
    assert cost.worker_dollars == pytest.approx(0.036)
    assert cost.dollars_per_thousand_images is None, "it would be too little"
    alone = period_cost("today", [day("2026-11-29", 5, none=60)], TABLE)
    assert alone.worker_dollars is None
    assert alone.dollars == alone.call_dollars, "of what has a price"
    free = TABLE.model_copy(update={"calls": None})
    bare = period_cost("today", [day("2026-11-29", 5, none=60)], free)
    assert (bare.dollars, bare.dollars_per_thousand_images) == (None, None)
    assert "calls to S3 and SQS" in bare.unpriced


def test_idle_day_of_scaler_and_web_costs_three_cents() -> None:
    """As measured by the tests of an idle service: 0.89 dollars a month."""
    quiet = DayUsage(day="2026-11-29", scaler_seconds=86400)
    cost = period_cost("today", [quiet], TABLE)
    assert cost.worker_dollars == 0
    assert (cost.dollars or 0) * 730 / 24 == pytest.approx(0.89, abs=0.01)
    assert cost.dollars_per_thousand_images is None


def test_periods_are_today_yesterday_and_thirty_days() -> None:
    days = [day(name, 1) for name in ("2026-10-30", "2026-10-31", "2026-11-28", "2026-11-29")]
    told = fleet_cost(days, TABLE, TODAY)
    assert told.prices == "us-east-1, 2026-11-29"
    assert [(one.period, one.images) for one in told.periods] == [
        ("today", 1),
        ("yesterday", 1),
        ("last 30 days", 3),
    ]
    assert [one.images for one in fleet_cost([], TABLE, TODAY).periods] == [0, 0, 0]
