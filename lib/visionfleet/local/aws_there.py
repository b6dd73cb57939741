"""Decides whether `visionfleet up` embeds an AWS, or uses an existing one."""

from collections.abc import Mapping

import urllib3

from visionfleet.aws.endpoints import by_service, for_all
from visionfleet.errors import GiveUp
from visionfleet.host.loopback import loopback_address

_LOOK_SECONDS = 10.0


def embeds_aws(setting: str | None, environment: Mapping[str, str]) -> bool:
    """Not if the environment or the settings name another, or if one answers."""
    used = {for_all(setting, environment), *map(by_service(environment).get, ("s3", "sqs"))}
    if used == {None}:
        raise GiveUp(
            "aws.endpoint_url must be on this machine, as http://127.0.0.1:5500, to run the whole "
            "service here, or be that of an AWS that is there, as AWS_ENDPOINT_URL may; it is null"
        )
    if setting is None or loopback_address(setting) is None or not used <= {setting, None}:
        return False
    return not _answers(setting)


def _answers(url: str) -> bool:
    """Whether S3 answers there, and is not embedded in another `visionfleet up`."""
    http = urllib3.PoolManager(retries=False, timeout=_LOOK_SECONDS)
    try:
        # The embedded AWS refuses browsers, with plain text.
        answer = http.request("GET", url, headers={"Origin": url})
    except (urllib3.exceptions.HTTPError, OSError):
        return False
    return b"<ListAllMyBucketsResult" in answer.data or b"<Code>" in answer.data
