"""Wraps whatever goes wrong in a call to AWS into our errors: try later, give up, or a kind of it.

docs/aws-errors.md has the table of codes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

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

# Codes on which another try later can help, beside every 5xx and all that tell of a rate.
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
    # Credentials that an instance role renews within minutes.
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
    # A clock that is not set yet.
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
}
_RATE = re.compile(
    "Throttl|SlowDown|TooManyRequests|RequestLimitExceeded|BandwidthLimitExceeded"
    "|ProvisionedThroughputExceeded|TransactionInProgress|PriorRequestNotComplete"
)
# Wrong keys have the same codes as a wrong clock, and another sentence.
_CLOCK = re.compile("expired|not yet current|skewed", re.IGNORECASE)
_SIGNATURE = {"InvalidSignatureException", "SignatureDoesNotMatch"}
_DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "KmsAccessDenied",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "NotSignedUp",
    "OptInRequired",
    "PendingVerification",
    "SubscriptionRequiredException",
    "UnauthorizedAccess",
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
# What botocore refuses by itself, where another try is no better.
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
_NO_CREDENTIALS = (boto.NoCredentialsError, boto.SSOError)


@contextmanager
def wrapped_errors(doing: str) -> Iterator[None]:
    """Turn what a call raises into TryLater or a kind of GiveUp; `doing` opens the sentence.

    Read the answer in the block too: one that is cut off or is none of AWS's is no answer, whatever
    urllib3, botocore, a parser or the look for a field says of it.
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
    except Exception as error:
        raise TryLater(f"{doing}: no whole answer: {type(error).__name__}: {error}") from error


def entry_error(
    code: str, sender_fault: bool, doing: str, invalid: type[GiveUp] = LeaseLost
) -> TryLater | GiveUp:
    """Judge one entry of a batch; its code may have a suffix, as some implementations give.

    An `invalid` one is a receipt that is no longer ours, or a message that is too long.
    """
    plain = _plain(code)
    if plain in _LOST:
        return invalid(f"{doing}: {code}")
    return _judged(plain, 400 if sender_fault else 500, f"{doing}: {code}")


def _client_error(error: ClientError, doing: str) -> TryLater | GiveUp:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    sentence = f"{doing}: {error}"
    # An answer to HEAD has no body; any other without a code is of something between.
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
    """Cut off whose code it is: `KMS.`, `Client.`, `AWS.SimpleQueueService.`, or a namespace."""
    return code.rpartition("#")[2].rpartition(".")[2]
