"""Starts from a warm pool of stopped instances."""

from dataclasses import replace

import pytest

from bench.stopped_instances import WarmPoolWorld
from testkit.fleet.policies import policy
from visionfleet.scaler.decision import Worker
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.world import Machine


def world(instances: int, spread: float = 0.0) -> WarmPoolWorld:
    conditions = replace(Conditions(), boot_seconds=45.0, boot_spread=spread)
    return WarmPoolWorld(conditions, controller("pace", policy(19, 45)), instances=instances)


def test_stopped_instances_start_sooner_until_there_are_none() -> None:
    pool = world(instances=1)
    assert pool.next_start_seconds(0) == 20
    assert pool.start("a", 0) == pytest.approx(20)
    assert pool.next_start_seconds(0) == 45
    assert pool.start("b", 0) == pytest.approx(45)


def test_ended_instance_stands_ready_again_when_it_has_stopped() -> None:
    pool = world(instances=1)
    for name in ("a", "new"):
        pool.start(name, 0)
        pool.end(Machine(Worker(name, "idle", 0.0, 0.0), 0.0), 100)
    assert pool.next_start_seconds(129) == 45
    assert pool.next_start_seconds(130) == 20
    pool.start("c", 130)
    assert pool.next_start_seconds(500) == 45, "who was launched anew is terminated, not stopped"


def test_warm_pool_shortens_the_wait_of_a_burst() -> None:
    arrivals = [0] * 60 + [400] + [0] * 600
    waits = [world(count, 0.25).run(arrivals).wait_quantile(0.5) for count in (0, 19)]
    assert waits[1] < waits[0] - 15
