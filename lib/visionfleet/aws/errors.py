"""Wraps all errors of AWS calls: try later, give up, or a subclass.

docs/aws-errors.md has the table of codes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import ClientError

from visionfleet.errors import (
    AlreadyExists,
    Denied,
    GiveUp,
    LeaseLost,
    NoCapacity,
    NotFound,
    TryLater,
    Unfit,
    VisionfleetError,
)

# Retryable codes, besides all 5xx and throttling.
_PASSING = {
    "DependencyTimeoutException",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "KMSInternalException",
    "KeyUnavailableException",
    "OperationAborted",
    "OverLimit",
    "QueueDeletedRecently",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "TemporaryRedirect",
    "Unavailable",
    # A body that was damaged or cut off on its way.
    "BadDigest",
    "IncompleteBody",
    "XAmzContentChecksumMismatch",
    "XAmzContentSHA256Mismatch",
    # Credentials that are renewed within minutes.
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "TokenRefreshRequired",
    # A clock that is not synchronized yet.
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
}
_RATE = re.compile(
    "Throttl|SlowDown|TooManyRequests|RequestLimitExceeded|BandwidthLimitExceeded"
    "|ProvisionedThroughputExceeded|TransactionInProgress|PriorRequestNotComplete"
)
# Wrong keys have the same codes as a wrong clock, but another message.
_CLOCK = re.compile("expired|not yet current|skewed", re.IGNORECASE)
# Of EC2's, a thousand characters and more.
_ENCODED = re.compile(r"Encoded authorization failure message: [\w-]+")
_SIGNATURE = {"InvalidSignatureException", "SignatureDoesNotMatch"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthFailure",
    "ForbiddenException",
    "IDPRejectedClaim",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidIdentityToken",
    "InvalidSecurity",
    "InvalidToken",
    "KmsAccessDenied",
    "KmsOptInRequired",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "NotSignedUp",
    "OptInRequired",
    "PendingVerification",
    "RegionDisabledException",
    "SubscriptionRequiredException",
    "UnauthorizedAccess",
    "UnauthorizedException",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
} | _SIGNATURE
_MISSING = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "InvalidInstanceID.NotFound",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
    "NoSuchKey",
    "NoSuchVersion",
    "QueueDoesNotExist",
}
_UNFIT = {
    "BatchRequestTooLong",
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidMessageContents",
    "InvalidObjectState",
    "KeyTooLongError",
    "MetadataTooLarge",
}
_LOST = {"InvalidParameterValue", "MessageNotInflight", "ReceiptHandleIsInvalid"}
_TAKEN = {
    "ConditionalRequestConflict",
    "IdempotentInstanceTerminated",
    "IdempotentParameterMismatch",
    "PreconditionFailed",
}
# EC2 returns some of these with status 500, but the same request cannot succeed.
_NO_CAPACITY = {
    "InsufficientAddressCapacity",
    "InsufficientCapacity",
    "InsufficientCapacityOnOutpost",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientHostCapacity",
    "InsufficientInstanceCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientVolumeCapacity",
    "MaxSpotInstanceCountExceeded",
    "ReservationCapacityExceeded",
    "SpotMaxPriceTooLow",
    "UnfulfillableCapacity",
}
# Refused by botocore itself, so retrying is useless.
_REFUSED_HERE = (boto.BotoCoreError, UnicodeEncodeError)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.MetadataRetrievalError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.ChecksumError,
    boto.FlexibleChecksumError,
    boto.PaginationError,
)
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.SSOError, boto.LoginError)


@contextmanager
def wrapped_errors(doing: str) -> Iterator[None]:
    """Turn exceptions into TryLater or a kind of GiveUp; `doing` starts the message.

    Parse the response within the block too: if it is truncated or malformed, any exception of
    urllib3, botocore, a parser or a field lookup means TryLater.
    """
    try:
        yield
    except VisionfleetError:
        raise
    except ClientError as error:
        raise _client_error(error, doing) from error
    except _NO_CREDENTIALS as error:
        raise Denied(f"{doing}: {error}") from error
    except _NO_ANSWER as error:
        raise TryLater(f"{doing}: {error}") from error
    except _REFUSED_HERE as error:
        raise GiveUp(f"{doing}: {error}") from error
    except OSError as error:  # the network, or a file of credentials
        raise TryLater(f"{doing}: {error}") from error
    except Exception as error:
        raise TryLater(f"{doing}: no whole answer: {type(error).__name__}: {error}") from error


def failed_entries(
    answer: Mapping[str, Any], sent: Sequence[str], doing: str, invalid: type[GiveUp]
) -> dict[str, VisionfleetError]:
    """Entries missing from the response count as failed."""
    failed: dict[str, VisionfleetError] = {
        sent[int(entry["Id"])]: entry_error(entry["Code"], entry["SenderFault"], doing, invalid)
        for entry in answer.get("Failed", ())
    }
    taken = {sent[int(entry["Id"])] for entry in answer.get("Successful", ())}
    missing = {one: TryLater(f"{doing}: not in the answer") for one in sent if one not in taken}
    return missing | failed


def entry_error(
    code: str, sender_fault: bool, doing: str, invalid: type[GiveUp] = LeaseLost
) -> TryLater | GiveUp:
    """The error of one entry of a batch; its code may have a suffix in some implementations.

    An `invalid` one is a receipt that is no longer valid, or a message that is too long.
    """
    plain = _plain(code)
    if plain in _LOST:
        return invalid(f"{doing}: {code}")
    return _judged(plain, 400 if sender_fault else 500, f"{doing}: {code}")


def _client_error(error: ClientError, doing: str) -> TryLater | GiveUp:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    sentence = _ENCODED.sub("(CloudTrail has the encoded message)", f"{doing}: {error}")
    # Responses to HEAD have no body; others without a code come from something in between.
    if (not code or code.isdigit()) and not error.operation_name.startswith("Head"):
        return Denied(sentence) if status in {401, 403} else TryLater(sentence)
    if code in _MISSING or code == "404":
        return NotFound(sentence)
    plain = _plain(code)
    if plain in _TAKEN or status == 412:
        return AlreadyExists(sentence)
    if plain in _SIGNATURE and _CLOCK.search(sentence):
        return TryLater(sentence)
    return _judged(plain, status, sentence)


def _judged(code: str, status: int, sentence: str) -> TryLater | GiveUp:
    if code in _NO_CAPACITY:
        return NoCapacity(sentence)
    if code in _PASSING or _RATE.search(code) or status in {408, 429} or status >= 500:
        return TryLater(sentence)
    if code in _DENIED or code in {"400", "401", "403"}:
        return Denied(sentence)
    return Unfit(sentence) if code in _UNFIT else GiveUp(sentence)


def _plain(code: str) -> str:
    """Strip prefixes of a code: `KMS.`, `Client.`, `AWS.SimpleQueueService.`, or a namespace."""
    return code.rpartition("#")[2].rpartition(".")[2]
