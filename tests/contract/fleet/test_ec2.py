"""The EC2 fleet against the embedded AWS over real HTTP, for what that does as EC2 does.

It ignores client tokens and MaxCount (one call launches MinCount), lists at once, and knows neither
a lack of capacity nor throttling: those are tested with the EC2 in memory of tests/unit.
"""

import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, add_template, emptied
from testkit.fleet.ec2_fleet import checked
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.contract.names import LAUNCHES_KEY
from visionfleet.errors import GiveUp, Superseded
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.ledger_store import LedgerStore

NO_ID = "i-0123456789abcdef0"
Make = Callable[..., Ec2Fleet]

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture(scope="module")
def ec2(aws: Cloud) -> Any:
    made = door(aws).client("ec2")
    add_template(made)
    return made


def door(aws: Cloud) -> ClientFactory:
    return ClientFactory("us-east-1", aws.endpoint_url, 15.0, 1, placeholder_credentials=True)


def store(aws: Cloud) -> Store:
    return Store(door(aws).client("s3"), BUCKETS[1])


@pytest.fixture
def make(aws: Cloud, ec2: Any, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make fleets of a deployment that is this test's own."""
    name = request.node.name[:31]
    aws.s3.delete_object(Bucket=BUCKETS[1], Key=LAUNCHES_KEY)

    def made(launch_template: str = "workers", **settings: Any) -> Ec2Fleet:
        return Ec2Fleet(
            Instances(ec2, name),
            LedgerStore(store(aws)),
            Ec2Section(launch_template=launch_template, **settings),
            3,
            "process",
            time.time,
            Random(1),
        )

    yield made
    ours = [m.name for m in made().members() if m.name.startswith("i-")]
    if ours:
        made().terminate(ours)


def described(ec2: Any, name: str) -> dict[str, Any]:
    (reservation,) = ec2.describe_instances(InstanceIds=[name])["Reservations"]
    found: dict[str, Any] = reservation["Instances"][0]
    return found


def test_instance_is_launched_and_terminated(make: Make, ec2: Any) -> None:
    fleet = make()
    checked(fleet)
    assert fleet.members() == []
    (name,) = fleet.launch(1, "d1")
    (member,) = fleet.members()
    assert (member.name, member.state) == (name, "running")
    assert abs(member.launched_at - time.time()) < 10
    fleet.terminate([name, NO_ID])
    assert described(ec2, name)["State"]["Name"] in {"shutting-down", "terminated"}
    assert fleet.members() == []


def test_launch_has_the_requested_type_and_subnet(make: Make, ec2: Any) -> None:
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    (name,) = make(instance_types=["c6i.large"], subnets=[subnet], markets=["spot"]).launch(1, "d1")
    found = described(ec2, name)
    assert (found["InstanceType"], found["SubnetId"]) == ("c6i.large", subnet)
    assert found["InstanceLifecycle"] == "spot"
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    assert found["ImageId"] == "ami-12c6146b", "from the launch template"
    behaviour = ec2.describe_instance_attribute(
        InstanceId=name, Attribute="instanceInitiatedShutdownBehavior"
    )
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert tags["visionfleet:launch"] == "d1-0"


def test_another_process_adopts_tagged_instances(make: Make, aws: Cloud) -> None:
    (name,) = make().launch(1, "d1")
    aws.s3.delete_object(Bucket=BUCKETS[1], Key=LAUNCHES_KEY)
    assert [member.name for member in make().members()] == [name]


def test_stopped_instance_counts_as_leaving(make: Make, ec2: Any) -> None:
    (name,) = make().launch(1, "d1")
    ec2.stop_instances(InstanceIds=[name])
    fleet = make()
    assert [(m.name, m.state) for m in fleet.members()] == [(name, "stopping")]
    assert name in str(fleet.alarms())


def test_one_of_two_concurrent_launches_wins(make: Make, aws: Cloud) -> None:
    one, other = make(), make()
    one.members()
    other.members()
    one.launch(1, "d1")
    with pytest.raises(Superseded):
        other.launch(1, "d2")
    assert len(other.members()) == 1
    (entry,) = LaunchLedger.decode((aws.object(LAUNCHES_KEY) or b"").decode()).launches
    assert (entry.decision, len(entry.instances)) == ("d1", 1)


def test_maximum_holds_when_each_call_launches_one(make: Make) -> None:
    fleet = make()
    for number in range(5):
        fleet.members()
        fleet.launch(3, f"d{number}")
        make().launch(3, f"other{number}")
    assert len(fleet.members()) <= 3


def test_missing_launch_template_is_reported(make: Make) -> None:
    with pytest.raises(GiveUp, match="launch template nobody"):
        checked(make(launch_template="nobody"))


def test_instance_listing_reads_all_pages(aws: Cloud, ec2: Any) -> None:
    own = door(aws).client("ec2")
    instances = Instances(own, "pages")
    made = [instances.run(launch(f"d{number}")) for number in range(7)]
    pages: Any = own.get_paginator("describe_instances")
    patient = pages.paginate
    own.get_paginator = lambda _: pages
    pages.paginate = lambda **request: patient(**request, PaginationConfig={"PageSize": 5})
    found = instances.describe(terminated=False)
    assert {one.id for one in found} == {name for names in made for name in names}
    assert {one.launch for one in found} == {f"d{number}-0" for number in range(7)}
    assert instances.terminate([one.id for one in found]) == {}
    assert instances.describe(terminated=False) == []
    assert {one.id for one in instances.describe(terminated=True)} == {one.id for one in found}


def test_launch_ledger_is_a_conditional_write(aws: Cloud) -> None:
    ledger = LedgerStore(store(aws))
    aws.s3.delete_object(Bucket=BUCKETS[1], Key=LAUNCHES_KEY)
    assert ledger.read() == (LaunchLedger(), None)
    first = ledger.write(LaunchLedger(revision=1, launches=(launch("d1"),)), None)
    assert ledger.read()[1] == first
    with pytest.raises(Superseded):
        ledger.write(LaunchLedger(revision=1), None)
    second = ledger.write(LaunchLedger(revision=2), first)
    with pytest.raises(Superseded):
        ledger.write(LaunchLedger(revision=2, launches=(launch("d2"),)), first)
    assert ledger.write(LaunchLedger(revision=2), first) == second, "its own, told as lost"


def launch(decision: str) -> Launch:
    return Launch(
        decision=decision,
        attempt=0,
        count=1,
        template="workers",
        version="$Default",
        spot=False,
        asker="process",
        asked_at=time.time(),
    )


def test_members_tell_their_type_and_market(make: Make) -> None:
    make(instance_types=["c7i.large"]).launch(1, "kinds")
    (member,) = make().members()
    assert (member.instance_type, member.market) == ("c7i.large", "on-demand")
