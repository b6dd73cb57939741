"""From the configuration to the door to AWS, for the daemons and the admin command."""

import os
from collections.abc import Callable, Mapping

from visionfleet.aws import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.config.schema import Aws
from visionfleet.host.loopback import loopback_address


def access(settings: Aws, environment: Mapping[str, str] = os.environ) -> ClientFactory:
    """Make the door to AWS that the section `aws` describes."""
    given = {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & environment.keys()
    return ClientFactory(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
        max_attempts=settings.max_attempts,
        placeholder_credentials=not given and loopback_address(settings.endpoint_url) is not None,
    )


def fetcher(settings: Aws) -> Callable[[str, str], bytes]:
    """Make what reads `(bucket, key)`; its client is made when an object is asked for."""

    def fetch(bucket: str, key: str) -> bytes:
        return Store(access(settings).client("s3"), bucket).get(key)

    return fetch
