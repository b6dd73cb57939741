"""The EC2 fleet against a stateful EC2 in memory: launches, crashes, refusals, ends."""

import itertools
import logging
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest

from testkit.aws.fake_ec2 import FakeEc2, Region
from testkit.aws.fake_s3 import Bucket, FakeS3
from testkit.aws.fakes import Clock, Crash, Hook, no_hook
from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import LaunchLedger
from visionfleet.contract.names import LAUNCHES_KEY
from visionfleet.errors import GiveUp, Superseded, TryLater
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_instances import Instances
from visionfleet.fleet.launch_ledger import ABANDONED_SECONDS, HEARD_SECONDS, SEEN_SECONDS
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.offerings import REFUSED_SECONDS, SHORT_SECONDS, Offering, offerings

MAXIMUM = 19
A, B = Offering("c7i.large", "subnet-0000000a"), Offering("c7i.large", "subnet-0000000b")
Make = Callable[..., Ec2Fleet]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def region(clock: Clock) -> Region:
    return Region(clock)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def make(clock: Clock, region: Region, bucket: Bucket) -> Make:
    """Make a fleet as a new process would: it knows nothing but S3 and EC2."""
    numbers = iter(range(1000))

    def made(
        *offered: Offering, hook: Hook = no_hook, maximum: int = MAXIMUM, template: str = "workers"
    ) -> Ec2Fleet:
        return Ec2Fleet(
            Instances(cast(Any, FakeEc2(region, hook)), "vf"),
            LedgerStore(Store(cast(Any, FakeS3(bucket, hook)), "bucket")),
            Ec2Section(
                launch_template=template,
                instance_types=tuple(dict.fromkeys(o.instance_type for o in offered)),
                subnets=tuple(dict.fromkeys(o.subnet for o in offered)),
            ),
            maximum,
            f"process-{next(numbers)}",
            clock,
            Random(1),
        )

    return made


def crash_at(step: str) -> Hook:
    def hook(at: str) -> None:
        if at == step:
            raise Crash

    return hook


def states(fleet: Ec2Fleet) -> list[str]:
    return sorted(member.state for member in fleet.members())


def launches(bucket: Bucket) -> int:
    return len(LaunchLedger.decode(bucket.objects[LAUNCHES_KEY].decode()).launches)


def test_a_launch_is_one_call_with_all_that_a_worker_needs(make: Make, region: Region) -> None:
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


def test_states_and_times_are_those_of_ec2(make: Make, region: Region, clock: Clock) -> None:
    fleet = make()
    (name,) = fleet.launch(1, "d1")
    (member,) = fleet.members()
    assert (member.name, member.state, member.launched_at) == (name, "running", int(clock.now))
    fleet.terminate([name])
    assert states(fleet) == ["stopping"]
    clock.now += region.shut_down_seconds
    assert fleet.members() == [], "terminated, also within the minutes in which the ledger counts"


def test_instances_that_are_not_listed_yet_count(make: Make, region: Region, clock: Clock) -> None:
    region.list_seconds = 200
    fleet = make()
    names = fleet.launch(4, "d1")
    clock.now += 100
    assert {m.name for m in make().members()} == set(names), "a new process knows them too"
    clock.now += 100
    assert {m.name for m in make().members()} == set(names)


def test_what_was_confirmed_and_never_appears_is_forgotten(
    make: Make, region: Region, clock: Clock
) -> None:
    region.list_seconds = 1e9
    make().launch(2, "d1")
    clock.now += SEEN_SECONDS
    assert make().members() == []


def test_the_fleet_itself_refuses_to_exceed_its_maximum(make: Make, region: Region) -> None:
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
def test_after_a_crash_another_process_finishes_the_launch_once(
    make: Make, region: Region, step: str, started: int
) -> None:
    region.list_seconds = 60
    with pytest.raises(Crash):
        make(hook=crash_at(step)).launch(3, "d1")
    for _ in range(3):
        assert len(make().members()) == started
    assert len(region.alive()) == started


def test_a_crash_before_the_confirmation_is_settled_by_the_tags(make: Make, region: Region) -> None:
    with pytest.raises(Crash):
        make(hook=crash_at("run_instances done")).launch(3, "d1")
    calls = region.calls.count("run_instances")
    assert len(make().members()) == 3
    assert region.calls.count("run_instances") == calls, "all are listed: there is nothing to ask"


def test_a_lost_answer_is_asked_for_again(make: Make, region: Region, clock: Clock) -> None:
    region.list_seconds = 60
    region.lost_answers["run_instances"] = 1
    fleet = make()
    assert fleet.launch(4, "d1") == []
    assert len(fleet.members()) == 4
    clock.now += 5
    assert {m.name for m in fleet.members()} == {m.id for m in region.alive()}
    assert len(region.alive()) == 4


def test_the_same_decision_again_starts_no_others(make: Make, region: Region) -> None:
    names = make().launch(2, "d1")
    assert make().launch(2, "d1") == names
    assert len(region.alive()) == 2


def test_of_two_scalers_that_looked_at_the_same_one_launches(make: Make, region: Region) -> None:
    one, other = make(maximum=4), make(maximum=4)
    one.members()
    other.members()
    assert len(one.launch(4, "d1")) == 4
    with pytest.raises(Superseded):
        other.launch(4, "d2")
    assert len(other.members()) == 4
    assert other.launch(4, "d3") == []
    assert len(region.alive()) == 4


def test_a_scaler_that_slept_since_its_look_launches_nothing(
    make: Make, region: Region, clock: Clock
) -> None:
    """The ledger is as empty again as it was at the look, but it is another state of it."""
    sleeper, other = make(), make()
    empty_the_ledger(make(), region, "d0")
    sleeper.members()
    other.members()
    other.launch(MAXIMUM - 1, "d1")
    clock.now += SEEN_SECONDS
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


def test_a_scaler_that_sleeps_between_its_ledger_and_ec2_launches_nothing(
    make: Make, region: Region, clock: Clock
) -> None:
    """Another takes its launch for failed meanwhile, and launches in its place."""
    reads = itertools.count()

    def sleep(at: str) -> None:
        if at == f"get {LAUNCHES_KEY} done" and next(reads) == 1:  # what it wrote is its own
            clock.now += HEARD_SECONDS
            region.room[("", "")] = 0
            assert make().members() == []
            region.room.clear()
            assert len(make().launch(MAXIMUM, "d2")) == MAXIMUM

    empty_the_ledger(make(), region, "d0")
    with pytest.raises(TryLater, match="too long ago"):
        make(hook=sleep).launch(MAXIMUM, "d1")
    assert len(region.alive()) == MAXIMUM


def test_a_refused_launch_of_another_counts_until_that_one_cannot_be_heard(
    make: Make, region: Region, clock: Clock
) -> None:
    """It may sleep between its ledger and EC2; AWS takes what it signed for five minutes."""
    with pytest.raises(Crash):
        make(hook=crash_at(f"put {LAUNCHES_KEY} done")).launch(2, "d1")
    region.room[("", "")] = 0
    other = make()
    assert len(other.members()) == 2
    clock.now += HEARD_SECONDS - 1
    assert len(other.members()) == 2
    clock.now += SHORT_SECONDS
    assert other.members() == []


def test_a_launch_that_was_never_settled_is_given_up(
    make: Make, region: Region, clock: Clock
) -> None:
    with pytest.raises(Crash):
        make(hook=crash_at("run_instances")).launch(2, "d1")
    clock.now += ABANDONED_SECONDS
    assert make().members() == []
    assert region.calls.count("run_instances") == 0, "nobody waits for it any longer"


def test_no_capacity_is_remembered_per_offering_and_the_next_is_tried(
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


def test_a_part_is_taken_and_the_rest_comes_from_the_next_offering(
    make: Make, region: Region
) -> None:
    region.room[("c7i.large", "subnet-0000000a")] = 3
    fleet = make(A, B)
    assert len(fleet.launch(10, "d1")) == 10
    assert [r["MaxCount"] for r in region.requests] == [10, 7]
    assert len({r["ClientToken"] for r in region.requests}) == 2


def test_when_all_offerings_fail_none_is_tried_for_a_while(
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
def test_throttling_backs_off_and_the_launch_is_repeated_with_its_token(
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


def test_a_list_that_is_throttled_is_left_alone(make: Make, region: Region, clock: Clock) -> None:
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
def test_what_a_person_must_mend_is_one_alarm_and_no_retry_loop(
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


def test_a_token_that_was_used_is_told_and_its_launch_counts_until_the_list_is_sure(
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
    clock.now += SEEN_SECONDS
    assert len(fleet.members()) == len(region.alive()) == 2
    assert fleet.alarms() == ()


def test_the_maximum_may_change_at_any_time(make: Make, region: Region) -> None:
    fleet = make(maximum=1)
    assert len(fleet.launch(3, "d1")) == 1
    fleet.maximum = 3
    fleet.members()
    assert len(fleet.launch(3, "d2")) == 2


def test_one_faulty_offering_does_not_stop_the_others(make: Make, region: Region) -> None:
    region.fail("run_instances", "Unsupported")
    fleet = make(A, B)
    assert len(fleet.launch(2, "d1")) == 2
    assert A.subnet is not None
    assert A.subnet in str(fleet.alarms())


def test_a_list_that_is_not_allowed_is_one_alarm(
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


def test_one_bad_id_does_not_spare_the_others(make: Make, region: Region) -> None:
    fleet = make()
    names = fleet.launch(5, "d1")
    region.machines[names[2]].protected = True
    fleet.members()
    fleet.terminate(["i-0000000000000dead", *names, "d9-0/0"])
    assert set(region.ended) == set(names) - {names[2]}
    fleet.members()
    assert names[2] in str(fleet.alarms())
    assert len(fleet.members()) == 5, "they count until they are gone"


def test_an_end_is_repeated_until_it_is_seen(make: Make, region: Region, clock: Clock) -> None:
    region.list_seconds = 30
    fleet = make()
    names = fleet.launch(1, "d1")
    fleet.members()
    fleet.terminate(names)
    assert region.ended == [], "NotFound: too new to be known"
    assert states(fleet) == ["stopping"], "it is no capacity any longer"
    clock.now += 30
    fleet.members()
    assert region.ended == names
    fleet.members()
    assert region.ended == names, "seen, so not said again"


def test_an_end_that_is_not_answered_is_told(make: Make, region: Region, clock: Clock) -> None:
    fleet = make()
    names = fleet.launch(1, "d1")
    region.fail("terminate_instances", "RequestLimitExceeded", status=503)
    with pytest.raises(TryLater):
        fleet.terminate(names)
    assert states(fleet) == ["running"], "the decision is made again"
    clock.now += 5
    fleet.terminate(names)
    assert region.ended == names


def test_a_stopped_instance_counts_and_is_told(
    make: Make, region: Region, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = make(maximum=2)
    names = fleet.launch(2, "d1")
    region.machines[names[0]].stopped = True
    assert states(fleet) == ["running", "stopping"]
    assert fleet.launch(1, "d2") == [], "it may be started again"
    fleet.members()
    assert "is stopped: start it or terminate it" in str(fleet.alarms())
    assert caplog.text.count("EC2 needs a person") == 1
    fleet.terminate([names[0]])
    fleet.members()
    assert fleet.alarms() == ()


def test_instances_of_other_deployments_are_not_ours(make: Make, region: Region) -> None:
    make().launch(1, "d1")
    (machine,) = region.alive()
    machine.tags["visionfleet:deployment"] = "other"
    bucket = Bucket()
    fleet = Ec2Fleet(
        Instances(cast(Any, FakeEc2(region)), "vf"),
        LedgerStore(Store(cast(Any, FakeS3(bucket)), "bucket")),
        Ec2Section(launch_template="workers", spot=True),
        1,
        "p",
        region.clock,
        Random(1),
    )
    assert fleet.members() == []
    fleet.launch(1, "d2")
    assert region.requests[-1]["InstanceMarketOptions"]["MarketType"] == "spot"


def test_an_unreadable_ledger_launches_nothing(make: Make, bucket: Bucket) -> None:
    bucket.objects[LAUNCHES_KEY] = b"{"
    with pytest.raises(GiveUp, match=r"fleet/launches\.json is unreadable"):
        make().verify()


def test_a_missing_template_is_told_at_the_start(make: Make, region: Region) -> None:
    with pytest.raises(GiveUp, match="launch template nobody"):
        make(template="nobody").verify()
    make().verify()
    assert region.alive() == []


def test_offerings_are_in_the_order_of_preference() -> None:
    assert offerings(["a.x", "b.x"], ["s1", "s2"]) == (
        Offering("a.x", "s1"),
        Offering("a.x", "s2"),
        Offering("b.x", "s1"),
        Offering("b.x", "s2"),
    )
    assert offerings([], []) == (Offering(),)
