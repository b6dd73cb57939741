"""Fixtures that tests of the EC2 fleet share."""

from random import Random
from typing import Any, cast

import pytest

from testkit.aws.fake_ec2 import FakeEc2, Region
from testkit.aws.fake_s3 import Bucket, FakeS3
from testkit.aws.fakes import Clock, Hook, no_hook
from testkit.fleet.ec2_fleet import MAXIMUM, Make
from visionfleet.aws.s3 import Store
from visionfleet.config.scaler import Ec2Section
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.offerings import Offering


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
                markets=tuple(dict.fromkeys(o.market for o in offered)) or ("on-demand",),
                instance_types=tuple(
                    dict.fromkeys(filter(None, (o.instance_type for o in offered)))
                ),
                subnets=tuple(dict.fromkeys(filter(None, (o.subnet for o in offered)))),
            ),
            maximum,
            f"process-{next(numbers)}",
            clock,
            Random(1),
        )

    return made
