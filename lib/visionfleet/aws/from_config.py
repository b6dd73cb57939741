"""From the configuration to the door to AWS, for the daemons and the admin command."""

import os
import re
from collections.abc import Callable, Mapping

from visionfleet.aws import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.config.schema import AwsSection
from visionfleet.host.loopback import loopback_address

# Tries of one call before it fails, by waits that double: enough for a few seconds of throttling,
# and soon enough for the daemons' own loops to tell of an outage.
MAX_ATTEMPTS = 4


def access(settings: AwsSection, environment: Mapping[str, str] = os.environ) -> ClientFactory:
    """Make the door to AWS that the section `aws` describes."""
    given = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & environment.keys()
    return ClientFactory(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        read_timeout_seconds=settings.read_timeout_seconds,
        max_attempts=_attempts(environment),
        placeholder_credentials=not given and loopback_address(settings.endpoint_url) is not None,
    )


def _attempts(environment: Mapping[str, str]) -> int:
    """Take AWS's own variable; what is no such number counts as not set."""
    asked = environment.get("AWS_MAX_ATTEMPTS", "")
    return int(asked) if re.fullmatch(r"[1-9][0-9]?", asked) else MAX_ATTEMPTS


def fetcher(settings: AwsSection) -> Callable[[str, str], bytes]:
    """Make what reads `(bucket, key)`; its client is made when an object is asked for."""

    def fetch(bucket: str, key: str) -> bytes:
        return Store(access(settings).client("s3"), bucket).get(key)

    return fetch
