"""Error codes of EC2 by what to do: try later, try another offering, give up."""

import pytest

from testkit.aws.fakes import refusal
from visionfleet.aws.errors import wrapped_errors
from visionfleet.errors import AlreadyExists, Denied, GiveUp, NoCapacity, NotFound, TryLater

KINDS = {
    ("RequestLimitExceeded", 503): TryLater,
    ("EC2ThrottledException", 400): TryLater,
    ("Unavailable", 503): TryLater,
    ("InternalError", 500): TryLater,
    ("RequestExpired", 400): TryLater,
    ("InsufficientInstanceCapacity", 500): NoCapacity,
    ("MaxSpotInstanceCountExceeded", 400): NoCapacity,
    ("InvalidInstanceID.NotFound", 400): NotFound,
    ("InvalidLaunchTemplateName.NotFoundException", 400): NotFound,
    ("IdempotentParameterMismatch", 400): AlreadyExists,
    ("IdempotentInstanceTerminated", 400): AlreadyExists,
    ("UnauthorizedOperation", 403): Denied,
    ("VcpuLimitExceeded", 400): GiveUp,
    ("InstanceLimitExceeded", 400): GiveUp,
    ("InvalidParameterValue", 400): GiveUp,
    ("Unsupported", 400): GiveUp,
}


@pytest.mark.parametrize(("code", "status"), KINDS)
def test_ec2_error_codes_have_their_error_class(code: str, status: int) -> None:
    with pytest.raises((TryLater, GiveUp)) as raised, wrapped_errors("launch"):
        raise refusal(code, "RunInstances", status)
    assert type(raised.value) is KINDS[code, status]
    assert code in str(raised.value)
