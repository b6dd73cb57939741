"""Clocks that are an hour off, or are set by an hour while the fleet is at work, on any host."""

from collections.abc import Callable

import pytest

from testkit.fleet.scaler_world import POLICY, Clock, ScalerWorld, run, scaler
from visionfleet.scaler.autoscaler import Autoscaler

HOUR = 3600.0
LEASE_SECONDS, HOLD_SECONDS = 60.0, 60.0
TICK_SECONDS = 4.0


def step_scaler(_: ScalerWorld, one: Autoscaler, seconds: float) -> None:
    assert isinstance(one.now, Clock)
    one.now.off_seconds += seconds


def step_workers(world: ScalerWorld, _: Autoscaler, seconds: float) -> None:
    world.workers_off += seconds


def step_s3(world: ScalerWorld, _: Autoscaler, seconds: float) -> None:
    world.s3_off += seconds


def step_all(world: ScalerWorld, one: Autoscaler, seconds: float) -> None:
    """The one clock of a laptop."""
    for step in (step_scaler, step_workers, step_s3):
        step(world, one, seconds)


Step = Callable[[ScalerWorld, Autoscaler, float], None]
steps = pytest.mark.parametrize("step", [step_scaler, step_workers, step_s3, step_all])
hours = pytest.mark.parametrize("seconds", [-HOUR, HOUR])


@steps
@hours
@pytest.mark.parametrize("after_seconds", [0, 200])
def test_step_ends_no_busy_worker_and_delays_no_drain(
    step: Step, seconds: float, after_seconds: int
) -> None:
    world = ScalerWorld(queue=100_000)
    ours = scaler(world)
    run(world, [ours], after_seconds)
    step(world, ours, seconds)
    run(world, [ours], 400)
    assert len(world.workers) == POLICY.maximum
    assert (world.terminated, world.peak) == ([], POLICY.maximum)
    world.queue = 0
    run(world, [ours], HOLD_SECONDS + 15 * TICK_SECONDS)
    assert world.workers == {}
    assert {state for _, state in world.terminated} == {"drained"}


@steps
@hours
def test_step_leaves_one_scaler_acting(step: Step, seconds: float) -> None:
    world = ScalerWorld(queue=100_000)
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 40)
    step(world, first, seconds)
    for _ in range(100):
        run(world, [first, second], TICK_SECONDS)
        assert (first.acting, second.acting) == (True, False)
        assert not second.leader_lease.holds()
    step(world, second, seconds)
    run(world, [second], LEASE_SECONDS + 2 * TICK_SECONDS)
    assert second.acting
    assert world.terminated == []


@hours
def test_scaler_that_starts_takes_a_lease_that_is_long_over(seconds: float) -> None:
    world = ScalerWorld()
    run(world, [scaler(world, "a")], 8)
    world.pass_time(2 * LEASE_SECONDS)
    again = scaler(world, "b", seconds)
    run(world, [again], TICK_SECONDS)
    assert again.acting, "and does not watch it for its length first"


def test_scaler_that_starts_leaves_a_fresh_lease_alone() -> None:
    world = ScalerWorld()
    first, second = scaler(world, "a"), scaler(world, "b", HOUR)
    run(world, [first], 60)
    run(world, [second], LEASE_SECONDS / 3 - TICK_SECONDS)
    assert not second.acting


@hours
def test_garbage_of_the_living_stays_whatever_their_clocks(seconds: float) -> None:
    """The heartbeats are in AWS's time; the scaler's host is off and gets it from AWS too."""
    world = ScalerWorld()
    ours = scaler(world)
    world.workers_off = seconds
    tags = {"visionfleet": "replies", "heartbeat": str(int(world.now))}
    for _ in range(20):
        tags["heartbeat"] = str(int(world.now))
        world.reply_queues["visionfleet-replies-x"] = dict(tags)
        run(world, [ours], 300)
    assert "visionfleet-replies-x" in world.reply_queues
