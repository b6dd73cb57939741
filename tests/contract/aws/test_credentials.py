"""Credentials of an instance role: late at the start, and fetched once for all clients."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.aws.imds import ImdsServer, imds_server
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.errors import Denied

ROLE = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImdsServer]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    with imds_server() as made:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", made.url)
        yield made


def give_role(service: ImdsServer) -> None:
    until = datetime.now(UTC) + timedelta(hours=6)
    service.documents[ROLE] = b"worker"
    service.tell(
        f"{ROLE}worker",
        Code="Success",
        Type="AWS-HMAC",
        AccessKeyId="ASIA1",
        SecretAccessKey="secret",
        Token="token",
        Expiration=until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        LastUpdated="2026-01-01T00:00:00Z",
    )


def test_role_that_comes_late_is_found_by_the_next_try(aws: Cloud, service: ImdsServer) -> None:
    factory = ClientFactory("us-east-1", aws.endpoint_url, 5.0, 1)
    for _ in range(2):
        with pytest.raises(Denied, match="none in the environment"):
            factory.client("s3")
    give_role(service)
    client = factory.client("s3")
    direct = factory.direct_s3(client, BUCKETS[0], 1)
    store = Store(client, BUCKETS[0], direct)
    store.put("x", b"1")
    assert (store.get("x"), direct is not None) == (b"1", True)


def test_clients_share_the_credentials_of_the_role(aws: Cloud, service: ImdsServer) -> None:
    give_role(service)
    factory = ClientFactory("us-east-1", aws.endpoint_url, 5.0, 1)
    for name in ("s3", "sqs", "ec2"):
        factory.client(name)
    assert service.calls.count(f"GET {ROLE}worker") == 1
    service.status = 503  # what is not expired goes on
    Store(factory.client("s3"), BUCKETS[0]).verify()


def test_forms_and_direct_calls_are_for_the_buckets_own_region() -> None:
    factory = ClientFactory("eu-south-2", None, 5.0, 1, placeholder_credentials=True)
    store = Store(factory.client("s3"), "photos")
    form = store.presigned_post("uploads/x", "image/png", 9, time.time() + 60)
    assert form.url == "https://photos.s3.eu-south-2.amazonaws.com/"


def test_direct_calls_use_the_configured_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\nca_bundle = /etc/own-ca.pem\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    factory = ClientFactory("us-east-1", None, 5.0, 1, placeholder_credentials=True)
    direct: Any = factory.direct_s3(factory.client("s3"), "photos", 1)
    assert direct._calls._connections._ca_certs == "/etc/own-ca.pem"
