"""The EC2 fleet against an EC2 in memory: launches, crashes, and the launch ledger."""

import itertools
from collections import Counter

import pytest

from testkit.aws.fake_ec2 import Region
from testkit.aws.fake_s3 import Bucket
from testkit.aws.fakes import Clock, Crash, refusal
from testkit.fleet.ec2_fleet import MAXIMUM, A, Make, checked, crash_at, states
from visionfleet.contract.names import LAUNCHES_KEY
from visionfleet.errors import Denied, GiveUp, Superseded, TryLater
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.launch_ledger import ABANDONED_SECONDS, LISTED_SECONDS, PENDING_SECONDS
from visionfleet.fleet.offerings import SHORT_SECONDS


def test_launch_is_one_call_with_template_tags_and_token(make: Make, region: Region) -> None:
    fleet = make(A)
    assert fleet.members() == []
    names = fleet.launch(3, "d1")
    assert names == [machine.id for machine in region.alive()]
    (request,) = region.requests
    assert (request["MinCount"], request["MaxCount"]) == (1, 3)
    assert request["LaunchTemplate"] == {"LaunchTemplateName": "workers", "Version": "$Default"}
    assert request["ClientToken"] == "d1-0"
    assert (request["InstanceType"], request["SubnetId"]) == (A.instance_type, A.subnet)
    assert request["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert request["MetadataOptions"]["HttpTokens"] == "required"
    tags = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
    assert tags == {
        "Name": "vf-worker",
        "visionfleet:deployment": "vf",
        "visionfleet:role": "worker",
        "visionfleet:launch": "d1-0",
    }
    assert [m.name for m in fleet.members()] == names


def test_members_have_states_and_times_of_ec2(make: Make, region: Region, clock: Clock) -> None:
    fleet = make()
    (name,) = fleet.launch(1, "d1")
    (member,) = fleet.members()
    assert (member.name, member.state, member.launched_at) == (name, "running", int(clock.now))
    fleet.terminate([name])
    assert states(fleet) == ["stopping"]
    clock.now += region.shut_down_seconds
    assert fleet.members() == [], "terminated, also within the minutes in which the ledger counts"


def test_launched_instances_not_yet_listed_count(make: Make, region: Region, clock: Clock) -> None:
    region.list_seconds = 200
    fleet = make()
    names = fleet.launch(4, "d1")
    clock.now += 100
    assert {m.name for m in make().members()} == set(names), "a new process knows them too"
    clock.now += 100
    assert {m.name for m in make().members()} == set(names)


def test_confirmed_instance_that_never_appears_is_dropped(
    make: Make, region: Region, clock: Clock
) -> None:
    region.list_seconds = 1e9
    make().launch(2, "d1")
    clock.now += LISTED_SECONDS
    assert make().members() == []


def test_fleet_refuses_to_exceed_its_maximum(make: Make, region: Region) -> None:
    region.list_seconds = 250
    fleet = make(maximum=5)
    assert len(fleet.launch(3, "d1")) == 3
    assert len(fleet.launch(9, "d2")) == 2
    assert fleet.launch(1, "d3") == []
    assert make(maximum=5).launch(1, "d4") == []
    assert len(region.alive()) == 5


@pytest.mark.parametrize(
    ("step", "started"),
    [
        (f"put {LAUNCHES_KEY}", 0),  # nothing was written: nothing is known of the launch
        (f"put {LAUNCHES_KEY} done", 3),
        ("run_instances", 3),
        ("run_instances done", 3),
    ],
)
def test_crashed_launch_is_finished_once_by_another_process(
    make: Make, region: Region, step: str, started: int
) -> None:
    region.list_seconds = 60
    with pytest.raises(Crash):
        make(hook=crash_at(step)).launch(3, "d1")
    for _ in range(3):
        assert len(make().members()) == started
    assert len(region.alive()) == started


def test_unconfirmed_launch_is_settled_by_instance_tags(make: Make, region: Region) -> None:
    with pytest.raises(Crash):
        make(hook=crash_at("run_instances done")).launch(3, "d1")
    calls = region.calls.count("run_instances")
    assert len(make().members()) == 3
    assert region.calls.count("run_instances") == calls, "all are listed: there is nothing to ask"


def test_lost_launch_response_is_requested_again(make: Make, region: Region, clock: Clock) -> None:
    region.list_seconds = 60
    region.lost_answers["run_instances"] = 1
    fleet = make()
    assert fleet.launch(4, "d1") == []
    assert len(fleet.members()) == 4
    clock.now += 5
    assert {m.name for m in fleet.members()} == {m.id for m in region.alive()}
    assert len(region.alive()) == 4


def test_repeated_decision_launches_nothing_more(make: Make, region: Region) -> None:
    names = make().launch(2, "d1")
    assert make().launch(2, "d1") == names
    assert len(region.alive()) == 2


def test_one_of_two_scalers_with_the_same_view_launches(make: Make, region: Region) -> None:
    one, other = make(maximum=4), make(maximum=4)
    one.members()
    other.members()
    assert len(one.launch(4, "d1")) == 4
    with pytest.raises(Superseded):
        other.launch(4, "d2")
    assert len(other.members()) == 4
    assert other.launch(4, "d3") == []
    assert len(region.alive()) == 4


def test_scaler_paused_after_observing_launches_nothing(
    make: Make, region: Region, clock: Clock
) -> None:
    """The ledger is as empty again as it was at the look, but it is another state of it."""
    sleeper, other = make(), make()
    empty_the_ledger(make(), region, "d0")
    sleeper.members()
    other.members()
    other.launch(MAXIMUM - 1, "d1")
    clock.now += LISTED_SECONDS
    other.members()
    empty_the_ledger(make(), region, "d2")
    with pytest.raises(Superseded):
        sleeper.launch(MAXIMUM, "d3")
    assert len(region.alive()) == MAXIMUM - 1


def empty_the_ledger(fleet: Ec2Fleet, region: Region, decision: str) -> None:
    """Let a launch fail, which leaves a ledger without entries."""
    region.room[("", "")] = 0
    assert fleet.launch(1, decision) == []
    region.room.clear()


def test_scaler_paused_after_its_ledger_write_launches_nothing(
    make: Make, region: Region, clock: Clock
) -> None:
    """Another takes its launch for failed meanwhile, and launches in its place."""
    reads = itertools.count()

    def sleep(at: str) -> None:
        if at == f"get {LAUNCHES_KEY} done" and next(reads) == 1:  # what it wrote is its own
            clock.now += PENDING_SECONDS
            region.room[("", "")] = 0
            assert make().members() == []
            region.room.clear()
            assert len(make().launch(MAXIMUM, "d2")) == MAXIMUM

    empty_the_ledger(make(), region, "d0")
    with pytest.raises(TryLater, match="too long ago"):
        make(hook=sleep).launch(MAXIMUM, "d1")
    assert len(region.alive()) == MAXIMUM


def test_refused_launch_of_another_scaler_counts_until_closed(
    make: Make, region: Region, clock: Clock
) -> None:
    """It may sleep between its ledger and EC2; AWS takes what it signed for five minutes."""
    with pytest.raises(Crash):
        make(hook=crash_at(f"put {LAUNCHES_KEY} done")).launch(2, "d1")
    region.room[("", "")] = 0
    other = make()
    assert len(other.members()) == 2
    clock.now += PENDING_SECONDS - 1
    assert len(other.members()) == 2
    clock.now += SHORT_SECONDS
    assert other.members() == []


def test_unsettled_launch_is_given_up(make: Make, region: Region, clock: Clock) -> None:
    with pytest.raises(Crash):
        make(hook=crash_at("run_instances")).launch(2, "d1")
    clock.now += ABANDONED_SECONDS
    assert make().members() == []
    assert region.calls.count("run_instances") == 0, "nobody waits for it any longer"


def test_unreadable_launch_ledger_launches_nothing(make: Make, bucket: Bucket) -> None:
    bucket.objects[LAUNCHES_KEY] = b"{"
    with pytest.raises(GiveUp, match=r"fleet/launches\.json is unreadable"):
        checked(make())


def test_each_check_of_a_start_is_one_call(make: Make, region: Region, bucket: Bucket) -> None:
    """Else two of three calls that are denied would keep a start for ever."""
    asked: list[str] = []

    def two_of_three_denied(at: str) -> None:
        if not at.endswith("done"):
            asked.append(at)
            if len(asked) % 3:
                raise refusal("UnauthorizedOperation", at)

    for check in make(hook=two_of_three_denied).checks():
        for _ in range(2):
            with pytest.raises(Denied):
                check()
        check()
    assert set(Counter(asked).values()) == {3}, asked
    assert not bucket.objects, "nothing was launched"
    assert not region.machines


def test_missing_launch_template_is_reported_at_start(make: Make, region: Region) -> None:
    with pytest.raises(GiveUp, match="launch template nobody"):
        checked(make(template="nobody"))
    checked(make())
    assert region.alive() == []
