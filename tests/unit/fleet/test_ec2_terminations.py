"""Terminations of the EC2 fleet, and instances that it must not count or touch."""

from random import Random
from typing import Any, cast

import pytest

from testkit.aws.fake_ec2 import FakeEc2, Region
from testkit.aws.fake_s3 import Bucket, FakeS3
from testkit.aws.fakes import Clock
from testkit.fleet.ec2_fleet import Make, states
from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import Ec2Section
from visionfleet.errors import TryLater
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.ledger_store import LedgerStore


def test_bad_instance_id_does_not_stop_other_terminations(make: Make, region: Region) -> None:
    fleet = make()
    names = fleet.launch(5, "d1")
    region.machines[names[2]].protected = True
    fleet.members()
    fleet.terminate(["i-0000000000000dead", *names, "d9-0/0"])
    assert set(region.ended) == set(names) - {names[2]}
    fleet.members()
    assert names[2] in str(fleet.alarms())
    assert len(fleet.members()) == 5, "they count until they are gone"


def test_termination_is_repeated_until_observed(make: Make, region: Region, clock: Clock) -> None:
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


def test_unanswered_termination_is_reported(make: Make, region: Region, clock: Clock) -> None:
    fleet = make()
    names = fleet.launch(1, "d1")
    region.fail("terminate_instances", "RequestLimitExceeded", status=503)
    with pytest.raises(TryLater):
        fleet.terminate(names)
    assert states(fleet) == ["running"], "the decision is made again"
    clock.now += 5
    fleet.terminate(names)
    assert region.ended == names


def test_stopped_instance_counts_and_is_an_alarm(
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


def test_instances_of_other_deployments_are_ignored(make: Make, region: Region) -> None:
    make().launch(1, "d1")
    (machine,) = region.alive()
    machine.tags["visionfleet:deployment"] = "other"
    bucket = Bucket()
    fleet = Ec2Fleet(
        Instances(cast(Any, FakeEc2(region)), "vf"),
        LedgerStore(Store(cast(Any, FakeS3(bucket)), "bucket")),
        Ec2Section(launch_template="workers", markets=("spot",)),
        1,
        "p",
        region.clock,
        Random(1),
    )
    assert fleet.members() == []
    fleet.launch(1, "d2")
    assert region.requests[-1]["InstanceMarketOptions"]["MarketType"] == "spot"
