"""The one door to AWS: makes boto3 clients, and wraps botocore's errors into ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import urllib3
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.handlers import add_expect_header
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from visionfleet.errors import AlreadyExists, GiveUp, LeaseLost, NoCapacity, NotFound, TryLater

# Codes on which another try later can help, beside every 5xx and the SDK's own list.
_PASSING = {
    "EC2ThrottledException",
    "InternalError",
    "InternalFailure",
    "OperationAborted",
    "OverLimit",
    "QueueDeletedRecently",
    "AWS.SimpleQueueService.QueueDeletedRecently",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "Unavailable",
}
_MISSING = {
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "InvalidInstanceID.NotFound",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "NoSuchBucket",
    "NoSuchKey",
    "QueueDoesNotExist",
}
_LOST = {"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"}
_TAKEN = {
    "ConditionalRequestConflict",
    "IdempotentInstanceTerminated",
    "IdempotentParameterMismatch",
    "PreconditionFailed",
}
# EC2 tells some of these with status 500, but to ask for the same again does not help.
_NO_CAPACITY = {
    "InsufficientCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
    "MaxSpotInstanceCountExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
}
_NO_ANSWER = (BotoConnectionError, HTTPClientError, IncompleteReadError, MetadataRetrievalError)
_LONGEST_WAIT_SECONDS = 20.0  # botocore, between two tries
# Expired credentials are renewed by the instance role within minutes.
_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


@dataclass(frozen=True, slots=True)
class Access:
    """How AWS is reached; the fields are those of the configuration's section `aws`.

    `placeholder_credentials` are for an endpoint on this machine, which checks none.
    """

    region: str
    endpoint_url: str | None
    connect_timeout_seconds: float
    read_timeout_seconds: float
    max_attempts: int
    placeholder_credentials: bool = False

    def longest_call_seconds(self, read_timeout_seconds: float) -> float:
        """Tell how long one call may take that is tried to the end, with the waits between."""
        tries = self.max_attempts * (self.connect_timeout_seconds + read_timeout_seconds)
        return tries + (self.max_attempts - 1) * _LONGEST_WAIT_SECONDS

    def client(
        self, service: str, connections: int = 10, read_timeout_seconds: float | None = None
    ) -> Any:
        """Make a client with a pool of `connections`; clients may be shared by threads.

        A long poll needs a client of its own: its read timeout differs, and its parked
        connections must not starve the other calls.
        """
        config = BotoConfig(
            connect_timeout=self.connect_timeout_seconds,
            read_timeout=read_timeout_seconds or self.read_timeout_seconds,
            max_pool_connections=connections,
            retries={"mode": "standard", "total_max_attempts": self.max_attempts},
            s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            # Forms and addresses that are handed to clients would else be of the old kind, which
            # newer regions refuse.
            signature_version="s3v4" if service == "s3" else None,
            tcp_keepalive=True,
            # Checks that cost a quarter of a millisecond of CPU per call, each: what we pass is
            # typed already, TLS guards the bytes on their way, and a damaged image is refused.
            parameter_validation=False,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # botocore signs nothing without credentials, and looks for an instance role for seconds.
        key = "placeholder" if self.placeholder_credentials else None
        session: Any = boto3.session.Session(key, key, region_name=self.region)
        client = session.client(service, endpoint_url=self.endpoint_url, config=config)
        # To ask before each body whether it may come is a round trip more for every image.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    def pool(self, connections: int) -> urllib3.PoolManager:
        """Make a pool for what needs no client; it trusts whom clients trust."""
        return urllib3.PoolManager(
            num_pools=1,
            maxsize=connections,
            block=True,
            timeout=urllib3.Timeout(self.connect_timeout_seconds, self.read_timeout_seconds),
            ca_certs=os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True),
        )


def proxied(url: str) -> bool:
    """Tell whether clients would go through a proxy that the environment names."""
    return bool(get_environ_proxies(url))


@contextmanager
def wrapped_errors(doing: str) -> Iterator[None]:
    """Turn what botocore raises into TryLater or a kind of GiveUp; `doing` opens the sentence."""
    try:
        yield
    except ClientError as error:
        raise _client_error(error, doing) from error
    except _NO_ANSWER as error:
        raise TryLater(f"{doing}: {error}") from error
    except BotoCoreError as error:
        raise GiveUp(f"{doing}: {error}") from error


def entry_error(code: str, sender_fault: bool, doing: str) -> TryLater | GiveUp:
    """Judge one failed entry of a batch call by its code and by whose fault it was."""
    if code in _LOST:
        return LeaseLost(f"{doing}: {code}")
    if code in _PASSING or not sender_fault:
        return TryLater(f"{doing}: {code}")
    return GiveUp(f"{doing}: {code}")


def _client_error(error: ClientError, doing: str) -> TryLater | GiveUp:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    sentence = f"{doing}: {error}"
    if code in _TAKEN or status == 412:
        return AlreadyExists(sentence)
    if code in _MISSING or status == 404:
        return NotFound(sentence)
    if code in _NO_CAPACITY:
        return NoCapacity(sentence)
    if code in _PASSING or code in _CREDENTIALS or status == 429 or status >= 500:
        return TryLater(sentence)
    return GiveUp(sentence)
