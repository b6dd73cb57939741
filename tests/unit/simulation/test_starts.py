"""Starts from a tier of stopped instances."""

from random import Random

import pytest

from testkit.fleet.policies import policy
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.starts import Starts, StoppedTier
from visionfleet.simulation.world import World


def starts(instances: int) -> Starts:
    return Starts(45.0, 0.0, StoppedTier(instances, 20.0, stop_seconds=30.0), Random(1))


def test_stopped_instances_start_sooner_until_there_are_none() -> None:
    tier = starts(instances=1)
    assert tier.next_takes(0) == 20
    assert tier.up_at("a", 0) == pytest.approx(20)
    assert tier.next_takes(0) == 45
    assert tier.up_at("b", 0) == pytest.approx(45)


def test_ended_instance_stands_ready_again_when_it_has_stopped() -> None:
    tier = starts(instances=1)
    tier.up_at("a", 0)
    tier.up_at("new", 0)
    tier.ended("a", 100)
    tier.ended("new", 100)
    assert tier.next_takes(129) == 45
    assert tier.next_takes(130) == 20
    tier.up_at("c", 130)
    assert tier.next_takes(500) == 45, "who was launched anew is terminated, not stopped"


def test_stopped_tier_shortens_the_wait_of_a_burst() -> None:
    arrivals = [0] * 60 + [400] + [0] * 600
    waits = [
        World(Conditions(stopped=StoppedTier(count)), controller("pace", policy(19, 45)))
        .run(arrivals)
        .wait_quantile(0.5)
        for count in (0, 19)
    ]
    assert waits[1] < waits[0] - 15
