"""Wraps botocore's errors into ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from visionfleet.errors import (
    AlreadyExists,
    GiveUp,
    LeaseLost,
    NoCapacity,
    NotFound,
    TryLater,
    Unsendable,
)

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
# Only other content helps, or less of it.
_UNSENDABLE = {
    "AWS.SimpleQueueService.BatchRequestTooLong",
    "BatchRequestTooLong",
    "EntityTooLarge",
    "InvalidMessageContents",
    "KeyTooLongError",
    "MetadataTooLarge",
}
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
# Expired credentials are renewed by the instance role within minutes.
_CREDENTIALS = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


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
    if code in _LOST:
        return LeaseLost(f"{doing}: {code}")
    if code in _PASSING or not sender_fault:
        return TryLater(f"{doing}: {code}")
    return GiveUp(f"{doing}: {code}")


def unsent_error(code: str, sender_fault: bool, doing: str) -> TryLater | Unsendable:
    later = code in _PASSING or not sender_fault
    return (TryLater if later else Unsendable)(f"{doing}: {code}")


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
    if code in _UNSENDABLE:
        return Unsendable(sentence)
    if code in _PASSING or code in _CREDENTIALS or status == 429 or status >= 500:
        return TryLater(sentence)
    return GiveUp(sentence)
