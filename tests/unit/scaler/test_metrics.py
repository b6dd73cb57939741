"""The scaler's metrics: their values."""

from visionfleet.config import Config
from visionfleet.config.scaler import ScalerSection
from visionfleet.scaler.decision import Decision, Observation, Policy, Worker
from visionfleet.scaler.metrics import ScalerMetrics


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
