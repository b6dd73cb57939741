"""What the policies are compared with: the clairvoyant's plan, and other scalers' formulas."""

from random import Random

import pytest

from bench import clairvoyant, rivals
from bench.bench_scaling import SWEEPS, Job, replay
from testkit.fleet.policies import policy
from visionfleet.scaler.decision import Observation, State, Worker
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
    outcome = replay(Job(name, 1.0, 60.0, arrivals, POLICY, Conditions()))
    assert outcome.unserved == 0
    assert outcome.served == sum(arrivals)
    assert outcome.wait_quantile(0.5) <= 60


def workers(state: State, count: int, since: float = 0.0) -> tuple[Worker, ...]:
    return tuple(Worker(f"{state}{i}", state, since, 0.0) for i in range(count))


def test_kubernetes_ends_workers_that_are_not_ready_first() -> None:
    alive = (*workers("busy", 3), *workers("booting", 2), *workers("idle", 3))
    ended = rivals.resize(5, alive, Random(1)).terminate
    assert {"booting0", "booting1"} < set(ended)
    assert len(ended) == 3


def test_auto_scaling_group_ends_no_busy_instance() -> None:
    alive = (*workers("busy", 3), *workers("idle", 2))
    assert set(rivals.protected(1, alive, Random(1)).terminate) == {"idle0", "idle1"}


def test_buildkite_ends_workers_after_their_idle_time() -> None:
    system = rivals.Buildkite(1.0, 19, Random(1), idle_seconds=60, desired=2)
    seen = Observation(0, 0, workers("idle", 2, since=100))
    assert system(seen, 159).terminate == ()
    assert len(system(seen, 160).terminate) == 2


@pytest.mark.parametrize("name", ["keda", "knative"])
def test_windows_of_rivals_are_swept(name: str) -> None:
    """A burst is forgotten after the window; a longer one costs more."""
    arrivals = ([0] * 60 + [60] * 10) * 2 + [0] * 1200
    costs = [
        replay(Job(name, 1.0, window, arrivals, POLICY, Conditions(phantoms=0))).billed_hours
        for window in (60.0, 300.0)
    ]
    assert costs[0] < costs[1]
