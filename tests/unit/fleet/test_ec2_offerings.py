"""Offerings of the EC2 fleet: capacity, throttling, and errors that a person must fix."""

import logging

import pytest

from testkit.aws.fake_ec2 import Region
from testkit.aws.fake_s3 import Bucket
from testkit.aws.fakes import Clock
from testkit.fleet.ec2_fleet import A, B, Make, checked, launches
from visionfleet.errors import Denied, TryLater
from visionfleet.fleet.launch_ledger import LISTED_SECONDS
from visionfleet.fleet.offerings import REFUSED_SECONDS, SHORT_SECONDS, Offering, in_order


def test_offering_without_capacity_is_skipped_for_the_next(
    make: Make, region: Region, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    region.room[("c7i.large", "subnet-0000000a")] = 0
    fleet = make(A, B)
    assert len(fleet.launch(2, "d1")) == 2
    assert [r["SubnetId"] for r in region.requests] == [A.subnet, B.subnet]
    fleet.members()
    fleet.launch(1, "d2")
    assert [r["SubnetId"] for r in region.requests][2:] == [B.subnet]
    clock.now += SHORT_SECONDS
    fleet.members()
    fleet.launch(1, "d3")
    assert [r["SubnetId"] for r in region.requests][3:] == [A.subnet, B.subnet]
    assert "no capacity" in caplog.text
    assert fleet.alarms() == (), "it passes by itself"


def test_partial_launch_continues_with_the_next_offering(make: Make, region: Region) -> None:
    region.room[("c7i.large", "subnet-0000000a")] = 3
    fleet = make(A, B)
    assert len(fleet.launch(10, "d1")) == 10
    assert [r["MaxCount"] for r in region.requests] == [10, 7]
    assert len({r["ClientToken"] for r in region.requests}) == 2


def test_launches_pause_when_all_offerings_fail(
    make: Make, region: Region, clock: Clock, bucket: Bucket
) -> None:
    region.room = {(str(one.instance_type), str(one.subnet)): 0 for one in (A, B)}
    fleet = make(A, B)
    for tick in range(720):  # an hour
        fleet.members()
        fleet.launch(1, f"d{tick}")
        clock.now += 5
    assert len(region.requests) <= 2 * 3600 / SHORT_SECONDS
    assert len(region.requests) >= 8, "it has not given up"
    assert launches(bucket) == 0


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "Unavailable", "InternalError"])
def test_throttled_launch_backs_off_and_keeps_its_token(
    make: Make, region: Region, clock: Clock, code: str
) -> None:
    region.fail("run_instances", *[code] * 6, status=503)
    fleet = make()
    assert fleet.launch(2, "d1") == []
    ticks = 0
    while not region.alive():
        clock.now += 1
        assert len(fleet.members()) == 2
        ticks += 1
    assert ticks > region.calls.count("run_instances") == 7
    assert {r["ClientToken"] for r in region.requests} == {"d1-0"}
    assert len(region.alive()) == 2


def test_throttled_listing_backs_off(make: Make, region: Region, clock: Clock) -> None:
    region.fail("describe_instances", *["RequestLimitExceeded"] * 6, status=503)
    fleet = make()
    failures = 0
    while True:
        try:
            fleet.members()
            break
        except TryLater:
            failures += 1
            clock.now += 1
    assert failures > region.calls.count("describe_instances") == 7


@pytest.mark.parametrize(
    "code", ["UnauthorizedOperation", "VcpuLimitExceeded", "InvalidParameterValue"]
)
def test_permanent_ec2_error_is_one_alarm_without_retries(
    make: Make, region: Region, clock: Clock, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    region.fail("run_instances", *[code] * 3)
    fleet = make()
    for tick in range(int(3 * REFUSED_SECONDS / 5)):
        fleet.members()
        fleet.launch(1, f"d{tick}")
        if not region.alive():
            assert code in str(fleet.alarms())
        clock.now += 5
    assert region.calls.count("run_instances") <= 3
    assert caplog.text.count("EC2 needs a person") == 1
    clock.now += 2 * REFUSED_SECONDS
    fleet.members()
    assert fleet.launch(1, "last")
    assert fleet.alarms() == ()
    assert "EC2 is well again" in caplog.text


def test_used_launch_token_is_an_alarm_and_its_launch_counts(
    make: Make, region: Region, clock: Clock
) -> None:
    """As when the template's newest version changes between a launch and its repetition."""
    region.list_seconds = 250
    region.lost_answers["run_instances"] = 1
    fleet = make()
    fleet.launch(2, "d1")
    region.tokens["d1-0"][0]["InstanceType"] = "changed"
    clock.now += 5
    assert len(fleet.members()) == 2
    assert "IdempotentParameterMismatch" in str(fleet.alarms())
    clock.now += 250
    assert {m.name for m in fleet.members()} == {m.id for m in region.alive()}
    clock.now += LISTED_SECONDS
    assert len(fleet.members()) == len(region.alive()) == 2
    assert fleet.alarms() == ()


def test_maximum_may_change_at_any_time(make: Make, region: Region) -> None:
    fleet = make(maximum=1)
    assert len(fleet.launch(3, "d1")) == 1
    fleet.maximum = 3
    fleet.members()
    assert len(fleet.launch(3, "d2")) == 2


def test_faulty_offering_does_not_stop_the_others(make: Make, region: Region) -> None:
    region.fail("run_instances", "Unsupported")
    fleet = make(A, B)
    assert len(fleet.launch(2, "d1")) == 2
    assert A.subnet is not None
    assert A.subnet in str(fleet.alarms())


def test_denied_listing_is_one_alarm(
    make: Make, region: Region, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    region.fail("describe_instances", "UnauthorizedOperation")
    fleet = make()
    for _ in range(3):
        with pytest.raises(TryLater):
            fleet.members()
        clock.now += 5
    assert region.calls.count("describe_instances") == 1
    assert caplog.text.count("EC2 needs a person") == 1
    clock.now += REFUSED_SECONDS
    assert fleet.members() == []


def test_offerings_are_in_order_of_preference() -> None:
    assert in_order(["spot", "on-demand"], ["a.x", "b.x"], ["s1", "s2"]) == (
        Offering("a.x", "s1", "spot"),
        Offering("a.x", "s2", "spot"),
        Offering("b.x", "s1", "spot"),
        Offering("b.x", "s2", "spot"),
        Offering("a.x", "s1"),
        Offering("a.x", "s2"),
        Offering("b.x", "s1"),
        Offering("b.x", "s2"),
    )
    assert in_order(["on-demand"], [], []) == (Offering(),)


def test_start_needs_one_offering_that_works(make: Make, region: Region) -> None:
    """A zone without the type is told, and asked no more for a while."""
    region.refused["c7i.large", str(A.subnet)] = "Unsupported"
    fleet = make(A, B)
    checked(fleet)
    assert len(fleet.alarms()) == 1
    assert "Unsupported" in fleet.alarms()[0]
    fleet.members()
    fleet.launch(1, "d1")
    assert [(m.instance_type, m.subnet) for m in region.alive()] == [("c7i.large", B.subnet)]


def test_start_fails_when_no_offering_works(make: Make, region: Region) -> None:
    for one in (A, B):
        region.refused["c7i.large", str(one.subnet)] = "UnauthorizedOperation"
    fleet = make(A, B)
    with pytest.raises(Denied):
        checked(fleet)
    region.refused.clear()
    checked(fleet)


def test_throttled_start_is_content_with_what_passed(make: Make, region: Region) -> None:
    offered = [Offering(f"c{i}.large", f"subnet-0000000{j}") for i in range(8) for j in range(6)]
    region.fail("run_instances", "RequestLimitExceeded", status=503)
    fleet = make(*offered)
    with pytest.raises(TryLater):
        checked(fleet)
    region.fail("run_instances", "DryRunOperation", "DryRunOperation", status=412)
    region.fail("run_instances", "RequestLimitExceeded", status=503)
    checked(fleet)
    assert region.calls.count("run_instances") == 4
