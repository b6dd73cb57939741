"""The scaler's metrics: their values."""

import math
from datetime import date

from visionfleet.config import Config
from visionfleet.config.scaler import ScalerSection
from visionfleet.contract.usage import DayUsage, WorkerTime
from visionfleet.cost.bill import fleet_cost
from visionfleet.price_file import price_table
from visionfleet.scaler.decision import Decision, Observation, Policy, Worker
from visionfleet.scaler.metrics import ScalerMetrics
from visionfleet.scaler.usage import Used


def test_metrics_have_the_observation_and_its_decision() -> None:
    policy = Policy.of(Config(scaler=ScalerSection(minimum=1)), cores=4)
    metrics = ScalerMetrics()
    spot = Worker("a", "busy", 0.0, 0.0, market="spot")
    seen = Observation(7, 2, (spot, Worker("b", "busy", 0.0, 0.0)), market_reason="no machines")
    metrics.observed(seen, Decision(launch=1), policy, 0.0, seconds=0.3)

    def value(name: str, /, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"visionfleet_{name}", labels)

    assert (value("queue_visible"), value("queue_in_flight")) == (7, 2)
    assert (value("workers", state="busy"), value("workers", state="idle")) == (2, 0)
    assert (value("workers_wanted"), value("workers_minimum")) == (3, 1)
    assert value("workers_maximum") == 19
    assert [value("market_workers", market=m) for m in ("spot", "on-demand")] == [1, 0]
    assert value("market_refused") == 1
    assert value("scaler_decision_seconds_bucket", le="0.25") == 0
    assert value("scaler_decision_seconds_bucket", le="0.5") == 1
    assert value("scaler_last_tick_timestamp_seconds") == 0


def test_metrics_tell_use_and_cost() -> None:
    metrics = ScalerMetrics()

    def value(name: str, /, **labels: str) -> float:
        found = metrics.registry.get_sample_value(f"visionfleet_{name}", labels)
        return -1 if found is None else found

    assert math.isnan(value("cost_dollars", period="today"))
    kind = ("c7i.large", "spot")
    time = WorkerTime(instance_type=kind[0], market=kind[1], seconds=3600.0)
    days = [DayUsage(day="2026-11-29", images=9, workers=(time,))]
    cost = fleet_cost(days, price_table(None), date(2026, 11, 29))
    for _ in range(2):
        metrics.used(Used(9, 4.0, 4.0, {kind: 60.0}), cost)
    assert value("scaler_images_total") == 18
    seconds = value("scaler_worker_seconds_total", instance_type=kind[0], market=kind[1])
    assert seconds == 120
    assert value("cost_dollars", period="today") == cost.periods[0].dollars
    assert value("cost_dollars", period="yesterday") == 0
