"""What the policies are compared with: the clairvoyant's plan, and other scalers' formulas."""

from random import Random

import pytest

from bench import clairvoyant
from bench.bench_scaling import SWEEPS, Job, replay
from testkit.fleet.policies import policy
from visionfleet.simulation import trace
from visionfleet.simulation.world import Conditions

POLICY = policy(19, boot_seconds=45)


def test_clairvoyant_spreads_work_over_the_allowed_wait() -> None:
    """100 images at second 10, none may wait longer than 20 s: 5 a second until second 30."""
    rates = clairvoyant.rates([0] * 10 + [100] + [0] * 40, wait_seconds=20, step=1)
    assert rates[15] == pytest.approx(5, rel=0.06)
    assert sum(rates) == pytest.approx(100)
    assert max(rates) < 5.6


def test_clairvoyant_keeps_workers_over_gaps_below_a_boot() -> None:
    rates = [4.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0]
    assert clairvoyant.sizes(rates, 0.5, step=10, hold_seconds=30, maximum=19) == (
        [2, 2, 2, 2, 0, 0, 0, 0, 0, 1]
    )


@pytest.mark.parametrize("name", sorted(SWEEPS))
def test_every_compared_policy_serves_a_quiet_hour(name: str) -> None:
    arrivals = trace.arrivals([60] * 60, 1.0, Random(4))
    outcome = replay(Job(name, 1.0, arrivals, POLICY, Conditions()))
    assert outcome.unserved == 0
    assert outcome.served == sum(arrivals)
    assert outcome.wait_quantile(0.5) <= 60
