"""An EC2 fleet over EC2 and S3 in memory, for tests of launches and their ledger."""

from collections.abc import Callable

from testkit.aws.fake_s3 import Bucket
from testkit.aws.fakes import Crash, Hook
from visionfleet.contract.messages import LaunchLedger
from visionfleet.contract.names import LAUNCHES_KEY
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.offerings import Offering

MAXIMUM = 19
A, B = Offering("c7i.large", "subnet-0000000a"), Offering("c7i.large", "subnet-0000000b")
Make = Callable[..., Ec2Fleet]


def crash_at(step: str) -> Hook:
    def hook(at: str) -> None:
        if at == step:
            raise Crash

    return hook


def checked(fleet: Ec2Fleet) -> None:
    """Check once, as a start does again and again."""
    for check in fleet.checks():
        check()


def states(fleet: Ec2Fleet) -> list[str]:
    return sorted(member.state for member in fleet.members())


def launches(bucket: Bucket) -> int:
    return len(LaunchLedger.decode(bucket.objects[LAUNCHES_KEY].decode()).launches)
