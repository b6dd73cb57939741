"""From the configuration to the door to AWS, for the daemons and the admin command."""

import os
from collections.abc import Callable, Mapping

from visionfleet.aws import Access
from visionfleet.config.schema import Aws
from visionfleet.endpoints import loopback_address
from visionfleet.store import Store


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


def fetcher(settings: Aws) -> Callable[[str, str], bytes]:
    """Make what reads `(bucket, key)`; its client is made when an object is asked for."""

    def fetch(bucket: str, key: str) -> bytes:
        return Store(access(settings).client("s3"), bucket).get(key)

    return fetch
