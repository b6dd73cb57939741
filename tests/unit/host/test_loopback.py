"""Which endpoints are on this machine, and what follows for credentials."""

import pytest

from visionfleet.aws.clients import client_factory
from visionfleet.config.schema import AwsSection
from visionfleet.host.loopback import loopback_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:5500", ("127.0.0.1", 5500)),
        ("http://127.9.9.9:1", ("127.9.9.9", 1)),
        ("http://localhost:5500/", ("localhost", 5500)),
        ("http://[::1]:5500", ("::1", 5500)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("https://127.0.0.1", ("127.0.0.1", 443)),
        ("http://192.168.1.1:5500", None),
        ("http://localhost.example.org", None),
        ("https://sqs.us-east-1.amazonaws.com", None),
        ("http://127.0.0.1:many", None),
        ("ftp://127.0.0.1", None),
        ("http://", None),
        (None, None),
    ],
)
def test_loopback_addresses_are_recognized(
    url: str | None, address: tuple[str, int] | None
) -> None:
    assert loopback_address(url) == address


LOCAL, REMOTE = "http://127.0.0.1:5500", "https://s3.example.org"


@pytest.mark.parametrize(
    ("url", "environment", "placeholder"),
    [
        (LOCAL, {}, True),
        (LOCAL, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, False),
        (LOCAL, {"AWS_PROFILE": "work"}, False),
        (REMOTE, {}, False),
        (None, {}, False),
    ],
)
def test_placeholder_credentials_are_for_loopback_only(
    url: str | None, environment: dict[str, str], placeholder: bool
) -> None:
    assert (
        client_factory(AwsSection(endpoint_url=url), environment).placeholder_credentials
        is placeholder
    )
