"""From the configuration to the door to AWS, for the daemons and the admin command."""

import os
from collections.abc import Mapping

from visionfleet.aws import Access
from visionfleet.config.schema import Aws
from visionfleet.endpoints import loopback_address


def access(settings: Aws, environment: Mapping[str, str] = os.environ) -> Access:
    """Make the door to AWS that the section `aws` describes."""
    given = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & environment.keys()
    return Access(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
        max_attempts=settings.max_attempts,
        placeholder_credentials=not given and loopback_address(settings.endpoint_url) is not None,
    )
