"""The simulated world itself: queue, traces, and the policies in it."""

from dataclasses import replace
from random import Random

import pytest

from testkit.fleet.policies import policy
from visionfleet.scaler.decision import Decision, Observation
from visionfleet.simulation import trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.world import World

POLICY = policy(19, boot_seconds=45)
EXACT = Conditions(lag_seconds=0, noise=0, phantoms=0, boot_spread=0, boot_seconds=30)


def test_fixed_fleet_serves_at_its_rate_and_costs_its_time() -> None:
    """4 workers do 8 images a second; 240 at once after the boot are done in 30 s."""
    arrivals = [0] * 60 + [240] + [0] * 139
    outcome = World(EXACT, controller("fixed:4", POLICY)).run(arrivals)
    assert outcome.served == 240
    assert outcome.wait_quantile(1.0) == 29
    assert outcome.wait_quantile(0.5) == 14
    assert outcome.billed_hours == pytest.approx(4 * 200 / 3600)
    assert (outcome.launches, outcome.peak_workers, outcome.busy_kills) == (4, 4, 0)


def test_instance_start_costs_at_least_a_minute() -> None:
    class Once:
        interval_seconds = 1

        def __call__(self, seen: Observation, now: float) -> Decision:
            if now == 0:
                return Decision(launch=1)
            return Decision(terminate=tuple(w.name for w in seen.workers))

    outcome = World(EXACT, Once()).run([0] * 10)
    assert outcome.billed_hours == pytest.approx(60 / 3600)


def test_killed_worker_returns_its_image_after_the_timeout() -> None:
    class Kill:
        interval_seconds = 1

        def __call__(self, seen: Observation, now: float) -> Decision:
            if now == 40:
                return Decision(terminate=(seen.workers[0].name,), launch=1)
            return Decision(launch=int(now == 0))

    long = replace(EXACT, service_seconds=20.0)
    outcome = World(long, Kill()).run([0] * 35 + [1] + [0] * 100)
    assert (outcome.busy_kills, outcome.served, outcome.unserved) == (1, 1, 0)
    assert outcome.wait_quantile(1.0) >= long.visibility_seconds


def test_image_of_an_ended_worker_is_done_within_its_grace() -> None:
    class Kill:
        interval_seconds = 1

        def __call__(self, seen: Observation, now: float) -> Decision:
            gone = tuple(w.name for w in seen.workers) if now == 40 else ()
            return Decision(terminate=gone, launch=int(now in {0, 41}))

    grace = replace(EXACT, service_seconds=20.0, grace_seconds=30.0)
    outcome = World(grace, Kill()).run([0] * 35 + [1] + [0] * 100)
    assert (outcome.busy_kills, outcome.served) == (0, 1)
    assert outcome.wait_quantile(1.0) < grace.visibility_seconds


@pytest.mark.parametrize(("packed", "idle"), [(False, 0), (True, 6)])
def test_packed_work_leaves_the_other_workers_idle(packed: bool, idle: int) -> None:
    """One image a second, eight workers: any poller gets it, or who finished last."""
    sinces: list[float] = []

    class Fixed:
        interval_seconds = 60

        def __call__(self, seen: Observation, now: float) -> Decision:
            sinces[:] = [now - w.since for w in seen.workers if w.state == "idle"]
            return Decision(launch=8 if now == 0 else 0)

    World(replace(EXACT, packed=packed), Fixed()).run([1] * 600)
    assert sum(since > 300 for since in sinces) >= idle
    assert packed or max(sinces) <= 60


def test_trace_is_read_and_its_faults_are_reported() -> None:
    assert trace.read(["minute,count", "2020-01-01 00:00:00,5", "x,7"]) == [5, 7]
    for lines, words in ((["minute,count", "a,-1"], "line 2"), (["minute,count"], "no rows")):
        with pytest.raises(trace.BadTrace, match=words):
            trace.read(lines)


def test_trace_of_seconds_is_played_as_it_was() -> None:
    lines = ["second,count", "100,2", "103,1", "103,4"]
    assert trace.has_seconds(lines)
    assert not trace.has_seconds(["minute,count"])
    assert trace.read_seconds(lines) == [2, 0, 0, 5]
    for wrong in (["second,count", "1,x"], ["second,count", "x,1"]):
        with pytest.raises(trace.BadTrace, match="line 2"):
            trace.read_seconds(wrong)
    with pytest.raises(trace.BadTrace, match="no rows"):
        trace.read_seconds(["second,count"])


def test_arrivals_follow_the_trace_and_are_reproducible() -> None:
    factor = trace.scale([10, 20, 100], workers=5, service_seconds=0.5, share=0.999)
    assert factor == pytest.approx(6.0), "100 a minute become 5 * 120"
    drawn = trace.arrivals([100] * 50, factor, Random(1))
    assert drawn == trace.arrivals([100] * 50, factor, Random(1))
    assert len(drawn) == 3000
    assert sum(drawn) == pytest.approx(30000, rel=0.02)


@pytest.mark.parametrize("name", ["pace", "per_message"])
def test_shipped_policies_kill_no_busy_worker_and_keep_limits(name: str) -> None:
    counts = [3, 200, 900, 20, 0, 0, 0, 500] * 4
    arrivals = trace.arrivals(counts, 2.0, Random(3))
    hostile = Conditions(crashes_per_hour=6, refused=0.3, noise=0.3, phantoms=0.1, lag_seconds=30)
    outcome = World(hostile, controller(name, POLICY)).run(arrivals)
    assert outcome.unserved == 0
    assert outcome.peak_workers <= POLICY.maximum
    assert outcome.busy_kills == 0


@pytest.mark.parametrize("name", ["pace", "per_message"])
def test_every_policy_serves_a_quiet_hour(name: str) -> None:
    arrivals = trace.arrivals([60] * 60, 1.0, Random(4))
    outcome = World(Conditions(), controller(name, POLICY)).run(arrivals)
    assert outcome.unserved == 0
    assert outcome.served == sum(arrivals)
    assert outcome.wait_quantile(0.5) <= 60


@pytest.mark.parametrize(("call", "image"), [(0.02, 0.5), (0.05, 0.012)])
def test_simulated_workers_tell_their_capacity(call: float, image: float) -> None:
    """Not how long an image is in their hands, and not before their first report."""
    told: list[float | None] = []

    class Fixed:
        interval_seconds = 1

        def __call__(self, seen: Observation, now: float) -> Decision:
            told.append(seen.service_seconds)
            return Decision(launch=int(now == 0))

    conditions = replace(EXACT, service_seconds=image, call_seconds=call)
    World(conditions, Fixed()).run([1] * 120)
    assert told[30] is None
    assert told[-1] == pytest.approx(image, rel=0.1)
