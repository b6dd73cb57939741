"""Error codes of AWS by what to do; docs/aws-errors.md has the table."""

import re
import socket
import ssl
from http.client import BadStatusLine, IncompleteRead

import pytest
import urllib3
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from testkit import ROOT
from testkit.aws.fakes import refusal
from visionfleet.aws.errors import entry_error, wrapped_errors
from visionfleet.aws.session import new_session
from visionfleet.errors import (
    AlreadyExists,
    Denied,
    GiveUp,
    LeaseLost,
    NoCapacity,
    NotFound,
    TryLater,
    Unfit,
)

CLASSES = {
    "try later": TryLater,
    "denied": Denied,
    "not found": NotFound,
    "unfit": Unfit,
    "no capacity": NoCapacity,
    "somebody was first": AlreadyExists,
    "give up": GiveUp,
}
SIGNATURES = {"SignatureDoesNotMatch", "InvalidSignatureException"}


def rows() -> list[tuple[str, str]]:
    """Each code of the page with the error that it becomes."""
    text = (ROOT / "docs" / "aws-errors.md").read_text().partition("## The codes")[2]
    found = []
    for line in text.splitlines():
        error, _, codes = line.strip("| ").partition(" | ")
        kind = error.partition(":")[0]
        if line.startswith("| ") and kind in CLASSES:
            known = SIGNATURES if "clock" in error else set()
            found += [(code, kind) for code in re.findall("`(.+?)`", codes) if code not in known]
    return found


@pytest.mark.parametrize(("code", "kind"), rows())
def test_code_becomes_the_error_that_the_page_says(code: str, kind: str) -> None:
    status = {"not found": 404, "denied": 403}.get(kind, 400)
    with pytest.raises((TryLater, GiveUp)) as raised, wrapped_errors("launch"):
        raise refusal(code, "RunInstances", status)
    assert type(raised.value) is CLASSES[kind]
    assert code in str(raised.value)


@pytest.mark.parametrize("code", sorted(SIGNATURES))
@pytest.mark.parametrize("said", ["Signature expired: x", "Signature not yet current"])
def test_signature_of_a_wrong_clock_is_try_later(code: str, said: str) -> None:
    with pytest.raises(TryLater), wrapped_errors("receive"):
        raise refusal(code, "ReceiveMessage", 403, said)


@pytest.mark.parametrize(
    ("code", "status", "operation", "error"),
    [
        ("404", 404, "HeadBucket", NotFound),
        ("403", 403, "HeadBucket", Denied),
        ("400", 400, "HeadBucket", Denied),  # an expired token, where no body can say so
        ("404", 404, "GetObject", TryLater),  # a page of something between
        ("403", 403, "GetObject", Denied),
        ("407", 407, "GetObject", TryLater),
        ("", 403, "RunInstances", Denied),
        ("Anything", 503, "GetObject", TryLater),
        ("Anything", 429, "GetObject", TryLater),
        ("Anything", 408, "GetObject", TryLater),
        ("Anything", 400, "GetObject", GiveUp),
    ],
)
def test_answer_without_a_known_code_is_judged_by_its_status(
    code: str, status: int, operation: str, error: type[Exception]
) -> None:
    with pytest.raises((TryLater, GiveUp)) as raised, wrapped_errors("call"):
        raise refusal(code, operation, status)
    assert type(raised.value) is error


def test_encoded_message_of_a_denied_launch_is_left_out() -> None:
    said = "You are not authorized. User: arn:aws:sts::1:assumed-role/scaler is not. "
    encoded = "Encoded authorization failure message: " + "aB3_-" * 300
    with pytest.raises(Denied) as raised, wrapped_errors("launch"):
        raise refusal("UnauthorizedOperation", "RunInstances", 403, said + encoded)
    assert str(raised.value).endswith("is not. (CloudTrail has the encoded message)")


RAISED = {
    TryLater: (
        urllib3.exceptions.ProtocolError("cut", IncompleteRead(b"x", 9)),
        urllib3.exceptions.DecodeError("no gzip"),
        urllib3.exceptions.LocationParseError("x"),
        boto.EndpointConnectionError(endpoint_url="u"),
        boto.ReadTimeoutError(endpoint_url="u"),
        boto.SSLError(endpoint_url="u", error=ssl.SSLError("certificate is not yet valid")),
        boto.ProxyConnectionError(proxy_url="u"),
        boto.ResponseStreamingError(error="cut"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        boto.FlexibleChecksumError(error_msg="crc32"),
        boto.CredentialRetrievalError(provider="iam-role", error_msg="no answer"),
        boto.MetadataRetrievalError(error_msg="no answer"),
        ResponseParserError("no XML"),
        BadStatusLine("?"),
        ConnectionResetError("reset"),
        ssl.SSLEOFError("eof"),
        socket.gaierror("no such name"),
        TimeoutError("slow"),
        FileNotFoundError(2, "No such file or directory", "/run/token"),
        KeyError("QueueUrl"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"),
    ),
    Denied: (
        boto.NoCredentialsError(),
        boto.UnauthorizedSSOTokenError(),
        boto.LoginRefreshRequired(),
    ),
    GiveUp: (
        boto.PartialCredentialsError(provider="p", cred_var="c"),
        boto.ProfileNotFound(profile="p"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"),
    ),
}


@pytest.mark.parametrize(
    ("kind", "error"), [(kind, error) for kind, errors in RAISED.items() for error in errors]
)
def test_whatever_a_call_raises_is_one_of_ours(kind: type[Exception], error: Exception) -> None:
    with pytest.raises((TryLater, GiveUp)) as raised, wrapped_errors("get x"):
        raise error
    assert type(raised.value) is kind
    assert str(raised.value).startswith("get x: ")


@pytest.mark.parametrize(
    ("code", "sender_fault", "error"),
    [
        ("ReceiptHandleIsInvalid", True, LeaseLost),
        ("InvalidParameterValue", True, LeaseLost),
        ("InternalError", False, TryLater),
        ("AWS.SimpleQueueService.InternalError", False, TryLater),
        ("KMS.ThrottlingException", True, TryLater),
        ("InvalidMessageContents", True, Unfit),
        ("AccessDenied", True, Denied),
    ],
)
def test_entry_of_a_batch_is_judged_as_a_call(
    code: str, sender_fault: bool, error: type[Exception]
) -> None:
    assert type(entry_error(code, sender_fault, "extend")) is error


def test_missing_credentials_say_where_they_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    where = r"credentials: none in the environment, in ~/\.aws or"
    with pytest.raises(Denied, match=where), wrapped_errors("credentials"):
        new_session(placeholder_credentials=False)
