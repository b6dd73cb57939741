"""What traffic costs that is rare: a wrong count of an empty queue must keep no worker."""

from pathlib import Path
from random import Random

import pytest

from bench import bench_scaling, made_traces
from testkit.fleet.policies import policy
from visionfleet.simulation import trace
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.world import Conditions, World


def replayed(path: Path, phantoms: float = 0.01) -> Outcome:
    with path.open() as lines:
        counts = trace.read(lines)
    arrivals = trace.arrivals(counts, 1.0, Random(1))
    conditions = Conditions(phantoms=phantoms)
    return World(conditions, controller("pace", policy(19, boot_seconds=45))).run(arrivals)


@pytest.mark.parametrize(("name", "most_hours"), [("sparse", 8.6), ("nightly", 12.0)])
def test_quiet_traffic_costs_half_of_one_look(name: str, most_hours: float) -> None:
    """One look alone cost 17.4 worker-hours in two days, and 24.1 in three nights."""
    outcome = replayed(bench_scaling.QUIET / f"{name}.csv")
    assert outcome.billed_hours <= most_hours
    assert outcome.wait_quantile(0.95) <= (90 if name == "sparse" else 300)
    assert outcome.unserved == 0


@pytest.mark.parametrize("name", sorted(made_traces.MADE))
def test_made_traces_are_those_of_the_generator(name: str) -> None:
    made = made_traces.MADE[name]()
    path = made_traces.FOLDER / f"{name}.csv"
    assert path.read_text() == made_traces.rows(made)
