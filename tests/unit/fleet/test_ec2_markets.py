"""Spot first and on demand behind it, rehearsals, and how many calls EC2 takes of both."""

import pytest

from testkit.aws.fake_ec2 import Region
from testkit.aws.fakes import Clock
from testkit.fleet.ec2_fleet import MAXIMUM, Make, checked
from visionfleet.errors import Denied, GiveUp, TryLater
from visionfleet.fleet.call_budget import AT_ONCE
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.offerings import REFUSED_SECONDS, SHORT_SECONDS, Offering

TYPES = ("c7i.large", "c6i.large", "c5.large", "m7i.large")
SUBNETS = ("subnet-0000000a", "subnet-0000000b", "subnet-0000000c")
SPOT = tuple(Offering(kind, subnet, "spot") for kind in TYPES for subnet in SUBNETS)
BOTH = (*SPOT, *(Offering(one.instance_type, one.subnet) for one in SPOT))
REFUSALS = (
    "InsufficientInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
    "VcpuLimitExceeded",
)


def markets(region: Region) -> list[str]:
    return ["spot" if machine.spot else "on-demand" for machine in region.alive()]


@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("offered", [(SPOT[0], BOTH[12]), BOTH], ids=["2", "24"])
def test_refused_spot_is_on_demand_in_the_same_tick(
    make: Make, region: Region, code: str, offered: tuple[Offering, ...]
) -> None:
    region.spot_refused, region.throttles = code, True
    fleet = make(*offered)
    fleet.members()
    assert len(fleet.launch(3, "d1")) == 3
    assert markets(region) == ["on-demand"] * 3
    assert region.calls.count("run_instances") <= AT_ONCE
    assert "InstanceMarketOptions" in region.requests[0], "spot was asked first"
    members = fleet.members()
    assert [member.market for member in members] == ["on-demand"] * 3
    assert code in fleet.market_reason()
    assert fleet.market_reason().startswith("spot c")


def test_spot_is_asked_again_when_its_hold_is_over(
    make: Make, region: Region, clock: Clock
) -> None:
    region.spot_refused = "InsufficientInstanceCapacity"
    fleet = make(SPOT[0], BOTH[12])
    fleet.launch(1, "d1")
    region.spot_refused = ""
    clock.now += SHORT_SECONDS - 1
    fleet.members()
    fleet.launch(1, "d2")
    assert markets(region) == ["on-demand"] * 2
    clock.now += 1
    fleet.members()
    fleet.launch(1, "d3")
    assert markets(region) == ["on-demand", "on-demand", "spot"]
    fleet.members()
    assert "InsufficientInstanceCapacity" in fleet.market_reason(), "why two of them are there"
    fleet.terminate([machine.id for machine in region.alive()[:2]])
    clock.now += region.shut_down_seconds
    assert [member.market for member in fleet.members()] == ["spot"]
    assert fleet.market_reason() == ""


def test_spot_that_runs_out_is_filled_up_on_demand(make: Make, region: Region) -> None:
    region.room["c7i.large", SUBNETS[0]] = 2
    fleet = make(SPOT[0], Offering("c7i.large", SUBNETS[0]), Offering("c6i.large", SUBNETS[0]))
    fleet.members()
    assert len(fleet.launch(5, "d1")) == 5
    assert markets(region).count("spot") == 2 + 3, "the next type of spot comes before on demand"


def test_market_is_known_before_an_instance_is_listed(make: Make, region: Region) -> None:
    region.list_seconds = 60
    make(SPOT[0]).launch(2, "d1")
    assert [member.market for member in make(SPOT[0]).members()] == ["spot", "spot"]


def test_settling_a_launch_keeps_its_market(make: Make, region: Region, clock: Clock) -> None:
    """As when the scaler is restarted with other markets meanwhile."""
    region.fail("run_instances", "RequestLimitExceeded", status=503)
    make(SPOT[0]).launch(2, "d1")
    clock.now += 5
    make(BOTH[12]).members()
    assert markets(region) == ["spot", "spot"]


def started(fleet: Ec2Fleet, clock: Clock, seconds: float = 60.0) -> float:
    """Check as a start does until it passes; tells after how long it did."""
    began = clock.now
    while clock.now < began + seconds:
        try:
            checked(fleet)
        except TryLater:
            clock.now += 1
        else:
            return clock.now - began
    raise AssertionError("never started")


def test_start_finds_the_one_offering_that_works(make: Make, region: Region, clock: Clock) -> None:
    """24 offerings within EC2's limit, each asked once; a zone without the type ends nothing."""
    region.throttles = True
    for one in SPOT[:-1]:
        region.refused[str(one.instance_type), str(one.subnet)] = "Unsupported"
    fleet = make(*BOTH)
    assert started(fleet, clock) <= 10
    assert region.calls.count("run_instances") <= len(SPOT) + 1, "each once"
    clock.now += 4
    fleet.members()
    assert len(fleet.launch(1, "d1")) == 1
    (alarm,) = fleet.alarms()
    assert f" of 24 offerings are refused: {SPOT[0]}: " in alarm
    refused = int(alarm.split()[0])
    assert refused >= len(SPOT) - 1
    assert alarm.count("Unsupported") == 3, "the first reasons"
    assert alarm.endswith(f"; and {refused - 3} more")


def test_start_is_quick_and_rehearses_the_rest_later(
    make: Make, region: Region, clock: Clock
) -> None:
    region.throttles = True
    region.refused["m7i.large", SUBNETS[2]] = "Unsupported"
    fleet = make(*BOTH)
    assert started(fleet, clock) == 0
    assert fleet.alarms() == ()
    for _ in range(30):
        clock.now += 4
        fleet.members()
    assert region.calls.count("run_instances") == len(BOTH), "one dry run each"
    (alarm,) = fleet.alarms()
    assert alarm.startswith("2 of 24 offerings are refused: "), "spot and on demand"
    assert alarm.count("m7i.large in subnet-0000000c") == 2
    assert "more" not in alarm


def test_offering_that_works_again_is_no_alarm(make: Make, region: Region, clock: Clock) -> None:
    for place in SUBNETS[:2]:
        region.refused["c7i.large", place] = "Unsupported"
    fleet = make(*(Offering("c7i.large", place) for place in SUBNETS[:3]))
    checked(fleet)
    assert fleet.alarms()[0].startswith("2 of 3 offerings are refused: ")
    del region.refused["c7i.large", SUBNETS[0]]
    clock.now += 2 * REFUSED_SECONDS
    fleet.members()
    assert len(fleet.launch(1, "d1")) == 1
    assert fleet.alarms()[0].startswith("1 of 3 offerings is refused: "), fleet.alarms()


def test_launch_goes_before_rehearsals(make: Make, region: Region, clock: Clock) -> None:
    region.throttles = True
    fleet = make(*BOTH)
    started(fleet, clock)
    clock.now += 1
    fleet.members()
    assert len(fleet.launch(2, "d1")) == 2


def test_start_ends_when_none_of_many_works(make: Make, region: Region, clock: Clock) -> None:
    region.throttles = True
    for one in SPOT:
        region.refused[str(one.instance_type), str(one.subnet)] = "Unsupported"
    with pytest.raises(GiveUp, match="Unsupported"):
        started(make(*BOTH), clock)
    assert region.calls.count("run_instances") == len(BOTH)


def test_start_survives_an_account_that_is_throttled(
    make: Make, region: Region, clock: Clock
) -> None:
    """Others of the account take nearly all calls: every fifth of ours is heard."""
    for one in SPOT[:4]:
        region.refused[str(one.instance_type), str(one.subnet)] = "Unsupported"
    fleet = make(*BOTH)
    for _ in range(6):
        region.fail("run_instances", *["RequestLimitExceeded"] * 4, status=503)
        for _ in range(4):
            with pytest.raises(TryLater):
                checked(fleet)
            clock.now += 1
        region.throttles = True
        region.bucket = (1.0, clock.now)
        try:
            checked(fleet)
        except TryLater:
            continue
        return
    raise AssertionError("never started")


def test_lack_of_capacity_at_the_start_is_no_alarm(make: Make, region: Region) -> None:
    region.refused["c7i.large", SUBNETS[0]] = "MaxSpotInstanceCountExceeded"
    fleet = make(SPOT[0])
    checked(fleet)
    assert fleet.alarms() == ()


def test_hours_without_spot_stay_within_the_limits(
    make: Make, region: Region, clock: Clock
) -> None:
    """All refuse for an hour: nobody asks more often than EC2 takes, and nothing is given up."""
    region.throttles = True
    for one in SPOT:
        region.room[str(one.instance_type), str(one.subnet)] = 0
    fleet = make(*BOTH)
    for tick in range(900):
        fleet.members()
        fleet.launch(MAXIMUM, f"d{tick}")
        clock.now += 4
    assert len(region.requests) == region.calls.count("run_instances"), "none was throttled"
    assert len(region.requests) < 900
    region.room.clear()
    clock.now += 2 * REFUSED_SECONDS
    fleet.members()
    assert len(fleet.launch(MAXIMUM, "last")) == MAXIMUM
    assert set(markets(region)) == {"spot"}


def test_role_that_comes_late_is_no_refusal(make: Make, region: Region, clock: Clock) -> None:
    """Denied everywhere at first: nothing of it is kept once launches are allowed."""
    region.fail("run_instances", *["UnauthorizedOperation"] * 2)
    fleet = make(SPOT[0], BOTH[12])
    with pytest.raises(Denied):
        checked(fleet)
    clock.now += 1
    checked(fleet)
    assert fleet.alarms() == ()
    clock.now += 4
    fleet.members()
    fleet.launch(1, "d1")
    assert markets(region) == ["spot"]
