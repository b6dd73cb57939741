"""Several autoscalers in a simulated world: one leads, whatever happens to it and its lease."""

import json

import pytest

from testkit.fleet.scaler_world import (
    POLICY,
    FakeStore,
    ScalerWorld,
    run,
    scaler,
    status_of,
)
from visionfleet.scaler.sizing import decide


def test_standby_scaler_takes_over_from_a_dead_leader() -> None:
    world = ScalerWorld(queue=100_000)
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 120)
    assert (first.acting, second.acting) == (True, False)
    names = set(world.workers)

    run(world, [second], 68)
    assert second.acting
    assert second.leader_lease.seen.term == 2
    assert set(world.workers) == names, "it neither doubled nor ended one"
    assert status_of(world)["holder"] == "b"


def test_released_lease_is_taken_at_the_next_tick() -> None:
    world = ScalerWorld()
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 20)
    first.leader_lease.release()
    run(world, [second], 4)
    assert second.acting


def test_scaler_in_a_bucket_of_another_deployment_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = ScalerWorld()
    first, second = scaler(world, "a"), scaler(world, "b", deployment="trial")
    run(world, [first, second], 20)
    told = "the output bucket is that of the deployment vision: trial needs one of its own"
    assert second.leader_lease.fault() == told
    assert [getattr(r, "reason", "") for r in caplog.records if r.levelname == "ERROR"] == [told]
    assert (first.leader_lease.fault(), status_of(world)["deployment"]) == (None, "vision")
    first.leader_lease.release()
    run(world, [second], 20)
    assert second.acting, "a deployment may be given another name"
    assert second.leader_lease.fault() is None


def test_leader_paused_past_its_lease_does_not_act() -> None:
    world = ScalerWorld()
    first, second = scaler(world, "a"), scaler(world, "b")
    run(world, [first, second], 20)
    run(world, [second], 80)
    world.queue = 10
    first.tick()
    assert not first.acting
    assert world.workers == {}, "the first saw the work, and left it to the second"
    second.tick()
    assert world.workers != {}


def test_leader_paused_before_acting_does_not_act() -> None:
    world = ScalerWorld(queue=10)
    first, second = scaler(world, "a"), scaler(world, "b")
    first.leader_lease.renew()
    seen = first.observer.observe(world.now, world.now)
    decision, _ = decide(seen, POLICY, first.history, world.now)
    assert decision.launch

    world.pass_time(100)
    second.tick()
    there = set(world.workers)
    assert not first.executor.carry_out(decision, first.leader_lease.holds)
    assert set(world.workers) == there


def test_status_of_another_leader_is_not_overwritten() -> None:
    world = ScalerWorld()
    first = scaler(world, "a")
    run(world, [first], 20)
    world.put("fleet/status.json", b'{"theirs": 1}')
    run(world, [first], 60)
    assert json.loads(world.objects["fleet/status.json"][0]).get("holder") == "a", (
        "the lease was looked up again, it is ours, and so is the record"
    )
    second = scaler(world, "b")
    run(world, [second], 80)
    theirs = world.objects["fleet/status.json"]
    for _ in range(3):
        first.tick()
    assert world.objects["fleet/status.json"] == theirs


@pytest.mark.parametrize("off_seconds", [-3600.0, -4.0, 4.0, 3600.0])
def test_leader_election_tolerates_clock_skew(off_seconds: float) -> None:
    world = ScalerWorld(queue=100_000)
    pair = [scaler(world, "a"), scaler(world, "b", off_seconds)]
    for _ in range(300):
        run(world, pair, 4)
        assert sum(each.leader_lease.holds() for each in pair) <= 1
    assert world.peak <= POLICY.maximum
    assert world.terminated == []


def test_lost_lease_renewal_response_is_tolerated() -> None:
    world = ScalerWorld()
    ours = scaler(world)
    run(world, [ours], 20)
    lease, store = ours.leader_lease, FakeStore(world)
    body, etag, _ = world.objects["fleet/lease.json"]
    store.put_json_if("fleet/lease.json", body.decode(), etag)  # S3 took it, and we do not know
    run(world, [ours], 120)
    assert ours.acting
    assert lease.seen.term == 1


def test_unreadable_lease_is_overwritten() -> None:
    world = ScalerWorld()
    world.put("fleet/lease.json", b"\xff{")
    ours = scaler(world)
    run(world, [ours], 4)
    assert ours.acting
