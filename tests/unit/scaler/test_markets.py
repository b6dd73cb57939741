"""Which market workers are of: from the fleet to decision, status, and words; interruptions."""

from random import Random

import pytest

from testkit.fleet.ec2_world import MAXIMUM, SERVICE_SECONDS, SPOT_FIRST, Ec2World, Scaler
from testkit.fleet.policies import policy
from visionfleet.cli.status import scaler_lines
from visionfleet.contract.messages import FleetStatus, Lease
from visionfleet.fleet.base import Member, MemberState
from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.decision import Decision, History, Observation, Worker
from visionfleet.scaler.incarnations import Incarnation, SeenReport, worker
from visionfleet.scaler.sizing import decide
from visionfleet.scaler.status import fleet_status, worth_writing

POLICY = policy(8, boot_seconds=30, hold_seconds=60)
NOW = 1000.0


def status_of(seen: Observation) -> FleetStatus:
    lease = Lease(holder="h", expires_at=0.0, term=1)
    return fleet_status(seen, Decision(), History(), POLICY, lease, (), None, NOW)


@pytest.mark.parametrize("state", ["running", "stopping", "failed"])
def test_worker_is_of_its_members_market(state: MemberState) -> None:
    member = Member("w", 900.0, state, "spot")
    assert worker(member, Incarnation(900.0, 900.0, 900.0), SeenReport(), 0.0, NOW).market == "spot"


def test_status_tells_the_share_and_the_reason() -> None:
    crew = [Worker(str(i), "busy", 0.0, 0.0, NOW, market="spot") for i in range(3)]
    crew.append(Worker("d", "idle", 0.0, 0.0, NOW, market="on-demand"))
    told = status_of(Observation(0, 0, tuple(crew), market_reason="spot c7i.large: none left"))
    assert told.markets == {"spot": 3, "on-demand": 1}
    line = "Markets: 1 on-demand (25%), 3 spot (75%); spot c7i.large: none left"
    assert line in list(scaler_lines(told, NOW))
    other = told.model_copy(update={"market_reason": ""})
    assert worth_writing(other, told, 60), "a reason that is new is told at once"
    assert "Markets" not in str(list(scaler_lines(status_of(Observation(0, 0, ())), NOW)))


def test_refusal_without_any_worker_is_told_too() -> None:
    told = status_of(Observation(5, 0, (), market_reason="spot c7i.large: none left"))
    assert "Markets: none; spot c7i.large: none left" in list(scaler_lines(told, NOW))


def test_workers_on_demand_leave_first() -> None:
    old = Worker("spot", "idle", NOW - 500, NOW - 900, NOW, market="spot")
    new = Worker("dear", "idle", NOW - 100, NOW - 300, NOW, market="on-demand")
    history = History(cooldown=Cooldown(NOW - 100, peaks=((NOW - 100, 1),)))
    seen = Observation(0, 1, (old, new), service_seconds=20.0)
    assert decide(seen, POLICY, history, NOW)[0].drain == ("dear",)


def test_refused_spot_costs_no_tick() -> None:
    world = Ec2World(waiting=20, settings=SPOT_FIRST)
    world.region.spot_refused = "InsufficientInstanceCapacity"
    world.pass_time(5)
    scaler = Scaler(world, 1)
    scaler.tick()
    assert [machine.spot for machine in world.region.alive()] == [False] * MAXIMUM
    world.pass_time(5)
    seen = scaler.observer.observe(world.clock.now, world.clock.now)
    assert [one.market for one in seen.workers] == ["on-demand"] * MAXIMUM
    assert "InsufficientInstanceCapacity" in seen.market_reason


@pytest.mark.parametrize("notice", [True, False], ids=["with notice", "without"])
def test_interruptions_lose_no_image(notice: bool) -> None:
    """Two hundred times as many as 0.1 per worker and hour; spot is refused now and then."""
    world, random = Ec2World(settings=SPOT_FIRST), Random(7)
    scaler, sent = Scaler(world, 1), 0
    interrupted = 0
    for minute in range(120):
        if minute < 90 and random.random() < 0.5:
            world.waiting, sent = world.waiting + 9, sent + 9
        world.region.spot_refused = "SpotMaxPriceTooLow" if random.random() < 0.3 else ""
        for machine in world.region.alive():
            if machine.spot and machine.id in world.workers and random.random() < 20 / 60:
                interrupted += 1
                world.interrupt(machine.id)
                if not notice:
                    world.interrupted[machine.id] = world.clock.now
        for _ in range(6):
            scaler.tick()
            world.pass_time(10)
    assert interrupted > 20, "the scenario has some"
    assert world.done == sent > 150
    assert {machine.spot for machine in world.region.machines.values()} == {True, False}
    assert SERVICE_SECONDS < 120, "what is in hand is done within the notice"
