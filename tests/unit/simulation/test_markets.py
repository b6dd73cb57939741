"""Spot in the simulated world: refusals, interruptions, and what they cost."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from testkit.fleet.policies import policy
from visionfleet.cli import main
from visionfleet.fleet.offerings import SHORT_SECONDS
from visionfleet.scaler.decision import Decision, Observation
from visionfleet.simulation import trace
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.markets import MarketConditions, Markets
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.world import Conditions, World

POLICY = policy(19, boot_seconds=45)
BOTH = MarketConditions(("spot", "on-demand"))
HOURS = trace.arrivals([600, 900, 300, 1200] * 45, 1.0, Random(5))


def play(market: MarketConditions, service_seconds: float = 0.5) -> Outcome:
    conditions = Conditions(service_seconds=service_seconds, market=market)
    return World(conditions, controller("pace", POLICY)).run(HOURS)


@pytest.mark.parametrize("rate", [0.1, 10.0])
def test_simulated_interruptions_lose_nothing(rate: float) -> None:
    outcome = play(replace(BOTH, interruptions_per_hour=rate))
    assert outcome.interruptions >= rate * outcome.billed_hours / 3
    assert (outcome.lost, outcome.unserved, outcome.served) == (0, 0, sum(HOURS))
    assert outcome.busy_kills == 0
    assert outcome.on_demand_hours == 0, "spot refused nothing"


def test_image_longer_than_the_notice_comes_back() -> None:
    class Fixed:
        interval_seconds = 10

        def __call__(self, seen: Observation, now: float) -> Decision:
            return Decision(launch=max(0, 3 - len(seen.workers)))

    market = replace(BOTH, interruptions_per_hour=20)
    conditions = Conditions(service_seconds=200, market=market)
    outcome = World(conditions, Fixed()).run([2, *[0] * 599] * 4)
    assert outcome.interruptions > 0
    assert (outcome.lost, outcome.served + outcome.unserved) == (0, 8)


def test_refused_spot_waits_no_longer_than_spot_itself() -> None:
    """On demand is launched in the same look, at its price; without it the images wait."""
    spot, both = play(BOTH), play(replace(BOTH, spot_refusals=1.0))
    assert (both.on_demand_hours, both.lost) == (both.billed_hours, 0)
    assert both.wait_quantile(0.95) == pytest.approx(spot.wait_quantile(0.95), abs=5)
    now_and_then = play(replace(BOTH, spot_refusals=0.3))
    assert 0 < now_and_then.on_demand_hours < now_and_then.billed_hours
    assert now_and_then.spot_refusals > 0


def test_simulated_spot_is_asked_again_after_its_hold() -> None:
    class Never(Random):
        def random(self) -> float:
            return 0.0

    markets = Markets(replace(BOTH, spot_refusals=0.5), Never())
    looks = [markets.launch(now) for now in (0.0, SHORT_SECONDS - 1)]
    assert (looks, markets.refusals) == (["on-demand"] * 2, 1)
    markets.launch(SHORT_SECONDS)
    assert markets.refusals == 2
    alone = Markets(MarketConditions(("spot",), 0.5), Never())
    assert alone.launch(0.0) is None


def test_simulate_tells_of_spot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, counts = tmp_path / "visionfleet.yaml", tmp_path / "trace.csv"
    config.write_text("scaler: {maximum: 5}\n")
    counts.write_text("minute,count\n" + "".join(f"{m},{m % 7 * 100}\n" for m in range(240)))
    files = ("--config", str(config), "--json", str(tmp_path / "out.json"))
    options = ("--policy", "pace", "--spot-refusals", "0.5", "--interruptions", "20")
    assert main(["simulate", str(counts), *files, *options]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of the worker-hours on demand, as spot refused" in said
    assert "0 images lost" in said
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["conditions"]["market"]["markets"] == ["spot", "on-demand"]
    assert found["policies"]["pace"]["interruptions"] > 0
    with pytest.raises(SystemExit):
        main(["simulate", str(counts), *files, "--spot-refusals", "1.5"])
    assert "expected a share from 0 to 1" in capsys.readouterr().err
