"""Signatures are those of botocore, of whatever the request is."""

import datetime
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from visionfleet.aws.direct_calls import SigningKey

NOW = 1_700_000_000.0
DAY = 86_400.0


def botocores(
    service: str, region: str, credentials: Credentials, request: AWSRequest, now: float
) -> str:
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with patch("botocore.auth.get_current_datetime", lambda: moment):
        signer(credentials, service, region).add_auth(request)
    return str(request.headers["Authorization"])


@pytest.mark.parametrize("service", ["s3", "sqs"])
@pytest.mark.parametrize("token", [None, "a/token=="])
@pytest.mark.parametrize("body", [b"", b"x" * 1000])
def test_signature_is_that_of_botocore(service: str, token: str | None, body: bytes) -> None:
    credentials = Credentials("AKID", "se/cret+", token)
    headers = {"host": "b.example:81", "content-type": "image/png"}
    headers["x-amz-meta-file-name"] = "a  b   c.png"
    key = SigningKey(credentials, "eu-south-2", service)
    for now in (NOW, NOW + 60, NOW + DAY, NOW):
        url = "https://b.example:81/images/a.b-c_d"
        request = AWSRequest("PUT", url, dict(headers), body)
        expected = botocores(service, "eu-south-2", credentials, request, now)
        signed = key.signed("PUT", urlsplit(url).path, body, headers, now)
        assert signed["authorization"] == expected


def test_key_follows_renewed_credentials() -> None:
    class Role:
        def __init__(self) -> None:
            self.now = Credentials("A", "a", "t1")

        def get_frozen_credentials(self) -> object:
            return self.now.get_frozen_credentials()

    role = Role()
    key = SigningKey(role, "us-east-1", "sqs")
    first = key.signed("POST", "/", b"{}", {"host": "x"}, NOW)
    role.now = Credentials("B", "b", "t2")
    second = key.signed("POST", "/", b"{}", {"host": "x"}, NOW)
    alone = SigningKey(role, "us-east-1", "sqs").signed("POST", "/", b"{}", {"host": "x"}, NOW)
    assert (first["x-amz-security-token"], second["x-amz-security-token"]) == ("t1", "t2")
    assert first["authorization"] != second["authorization"] == alone["authorization"]
