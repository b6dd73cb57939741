"""What EC2 tells an instance: its id, its user data, and that a spot instance will be taken away.

IMDSv2: a token first, then questions with it. The instance needs no permission for this; in a
container the metadata's hop limit must be 2.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import urllib3

from visionfleet.errors import TryLater

log = logging.getLogger("classifier")

# As AWS recommends: the notice comes two minutes ahead, and a look costs nothing.
POLL_SECONDS = 5.0
# Silent metadata is asked less, but often enough that a notice leaves most of its two minutes.
MOST_SECONDS = 40.0
TOKEN_SECONDS = 21600
INSTANCE_ID = "/latest/meta-data/instance-id"
USER_DATA = "/latest/user-data"
INTERRUPTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"

_IPV4, _IPV6 = "http://169.254.169.254", "http://[fd00:ec2::254]"
_FAILURES_TO_TELL = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """One warning: an interruption will come; a rebalance recommendation says it may."""

    kind: Literal["interruption", "rebalance"]
    sentence: str


def endpoint(environment: Mapping[str, str]) -> str:
    """Tell where the metadata is, by the variables that boto3 obeys too."""
    given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower()
    return (given or (_IPV6 if mode == "ipv6" else _IPV4)).rstrip("/")


class Metadata:
    """The instance metadata service. `clock` is monotonic, in seconds."""

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        self._endpoint, self._clock = endpoint, clock
        timeout = urllib3.Timeout(connect=1.0, read=2.0)
        self._http = urllib3.PoolManager(retries=False, timeout=timeout)
        self._token = ""
        self._renew_at = 0.0

    def find(self, path: str) -> bytes | None:
        """Read a path, None where there is nothing; raises TryLater."""
        answer = self._get(path)
        if answer.status == 401:  # the token was of an earlier life of this instance
            self._token = ""
            answer = self._get(path)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise TryLater(f"metadata {path}: status {answer.status}")
        return answer.data

    def _get(self, path: str) -> urllib3.BaseHTTPResponse:
        if not self._token or self._clock() >= self._renew_at:
            self._fetch_token()
        return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _fetch_token(self) -> None:
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
        answer = self._request("PUT", "/latest/api/token", lifetime)
        if answer.status != 200:
            raise TryLater(f"metadata token: status {answer.status}")
        self._token = answer.data.decode("ascii", "replace")
        self._renew_at = self._clock() + TOKEN_SECONDS * 3 / 4

    def _request(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, self._endpoint + path, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise TryLater(f"metadata {path}: {error}") from error


def instance_id(metadata: Metadata) -> str:
    """Read the id of this instance; raises TryLater where nothing or something else answers."""
    found = (metadata.find(INSTANCE_ID) or b"").decode("ascii", "replace")
    if not found.startswith("i-"):
        raise TryLater(f"metadata {INSTANCE_ID}: no id of an instance")
    return found


def user_data(metadata: Metadata) -> bytes:
    """Read what this instance was launched with, nothing where it has none; raises TryLater."""
    return metadata.find(USER_DATA) or b""


class Interruptions:
    """Looks for warnings. Errors are quiet: most machines are no spot instances."""

    every_seconds = POLL_SECONDS

    def __init__(self, metadata: Metadata, clock: Callable[[], float]) -> None:
        self._metadata, self._clock = metadata, clock
        self._told: set[Notice] = set()
        self._failures = 0
        self._ask_again_at = clock()

    def look(self) -> list[Notice]:
        """Ask for what has not been told yet; nothing while the metadata is left in peace."""
        if self._clock() < self._ask_again_at:
            return []
        fresh: list[Notice] = []
        try:
            for ask in (_interruption, _rebalance):
                notice = ask(self._metadata)
                if notice is not None and notice not in self._told:
                    fresh.append(notice)
        except TryLater as error:
            self._failed(str(error))
        else:
            self._failures = 0
        self._told.update(fresh)
        return fresh

    def _failed(self, reason: str) -> None:
        self._failures += 1
        wait = min(MOST_SECONDS, POLL_SECONDS * 2 ** min(self._failures, 10))
        self._ask_again_at = self._clock() + wait
        level = logging.WARNING if self._failures == _FAILURES_TO_TELL else logging.DEBUG
        log.log(level, "no instance metadata", extra={"reason": reason, "in_seconds": wait})


def _interruption(metadata: Metadata) -> Notice | None:
    found = metadata.find(INTERRUPTION)
    if found is None:
        return None
    told = _read(found, INTERRUPTION, "action")
    sentence = f"spot interruption: {told['action']} at {told.get('time', 'an unknown time')}"
    return Notice("interruption", sentence)


def _rebalance(metadata: Metadata) -> Notice | None:
    found = metadata.find(REBALANCE)
    if found is None:
        return None
    told = _read(found, REBALANCE, "noticeTime")
    return Notice("rebalance", f"rebalance recommended at {told['noticeTime']}")


def _read(found: bytes, path: str, needed: str) -> dict[str, object]:
    """Read a warning; what has not its form comes from something else than EC2."""
    try:
        told = json.loads(found)
    except ValueError as error:
        raise TryLater(f"metadata {path}: not JSON") from error
    if not isinstance(told, dict) or needed not in told:
        raise TryLater(f"metadata {path}: no {needed!r} in the answer")
    return told
