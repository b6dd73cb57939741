"""EC2's instance metadata service (IMDSv2): instance id and user data.

A token is requested first. In a container the hop limit must be 2.
"""

from collections.abc import Callable, Mapping

import urllib3

from visionfleet.aws.errors import wrapped_errors
from visionfleet.aws.slow_responses import limit_urllib3
from visionfleet.errors import TryLater

TOKEN_SECONDS = 21600
INSTANCE_ID = "/latest/meta-data/instance-id"
USER_DATA = "/latest/user-data"
_IPV4, _IPV6 = "http://169.254.169.254", "http://[fd00:ec2::254]"


def endpoint(environment: Mapping[str, str]) -> str:
    """The endpoint of the metadata service, by the variables that boto3 uses too."""
    given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    return (given or (_IPV6 if mode == "ipv6" else _IPV4)).rstrip("/")


class Metadata:
    """The instance metadata service. `clock` is monotonic, in seconds."""

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        limit_urllib3()
        self._endpoint, self._clock = endpoint, clock
        timeout = urllib3.Timeout(connect=1.0, read=2.0)
        self._http = urllib3.PoolManager(retries=False, timeout=timeout)
        self._token = ""
        self._renew_at = 0.0

    def find(self, path: str) -> bytes | None:
        """Read a path, None if there is nothing; raises TryLater."""
        answer = self._get(path)
        if answer.status == 401:  # the token has expired
            self._token = ""
            answer = self._get(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise TryLater(f"metadata {path}: status {answer.status}")
        return answer.data

    def _get(self, path: str) -> urllib3.BaseHTTPResponse:
        if not self._token or self._clock() >= self._renew_at:
            lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
            answer = self._request("PUT", "/latest/api/token", lifetime)
            if answer.status != 200:
                raise TryLater(f"metadata token: status {answer.status}")
            token = answer.data.decode("latin-1")
            if not (token.isascii() and token.isprintable()):
                raise TryLater(f"metadata token: none, but {token[:100]!r}")
            self._token = token
            self._renew_at = self._clock() + TOKEN_SECONDS * 3 / 4
        return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _request(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        with wrapped_errors(f"metadata {path}"):
            return self._http.request(method, self._endpoint + path, headers=headers)


def instance_id(metadata: Metadata) -> str:
    """The id of this instance; raises TryLater without a valid response."""
    found = (metadata.find(INSTANCE_ID) or b"").decode("ascii", "replace")
    if not found.startswith("i-"):
        raise TryLater(f"metadata {INSTANCE_ID}: no id of an instance")
    return found
