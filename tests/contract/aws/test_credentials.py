"""Credentials of an instance role: late at the start, and fetched once for all clients."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud
from testkit.aws.imds import ImdsServer, imds_server
from testkit.aws.key_proxy import key_proxy
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.errors import Denied, TryLater

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


def give_role(service: ImdsServer, key: str = "ASIA1") -> None:
    until = datetime.now(UTC) + timedelta(hours=6)
    service.documents[ROLE] = b"worker"
    service.tell(
        f"{ROLE}worker",
        Code="Success",
        Type="AWS-HMAC",
        AccessKeyId=key,
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


def give_file(folder: Path, key: str) -> None:
    lines = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
    (folder / "credentials").write_text(lines)


def give_process(folder: Path, key: str) -> None:
    found = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "t"}
    until = datetime.now(UTC) + timedelta(minutes=5)
    found["Expiration"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    (folder / "found.json").write_text(json.dumps(found))
    (folder / "config").write_text(f"[default]\ncredential_process = cat {folder}/found.json\n")


@pytest.mark.parametrize(
    ("source", "code"),
    [("role", "InvalidClientTokenId"), ("file", "InvalidAccessKeyId"), ("process", "ExpiredToken")],
)
def test_credentials_that_aws_refuses_are_found_anew(
    aws: Cloud,
    service: ImdsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    code: str,
) -> None:
    """A file was replaced, or a role made anew: what botocore keeps for hours is of no use."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    give: dict[str, Callable[[str], None]] = {
        "role": partial(give_role, service),
        "file": partial(give_file, tmp_path),
        "process": partial(give_process, tmp_path),
    }
    give[source]("ASIA1")
    with key_proxy(aws.endpoint_url, "ASIA1", code) as proxy:
        factory = ClientFactory("us-east-1", proxy.url, 5.0, 1)
        client = factory.client("s3")
        store = Store(client, BUCKETS[0], factory.direct_s3(client, BUCKETS[0], 1))
        queues = factory.sqs(1)
        store.put("x", b"1")
        give[source]("ASIA2")
        proxy.accepted = "ASIA2"
        with pytest.raises((Denied, TryLater)):
            store.put("x", b"2")
        proxy.keys.clear()
        store.put("x", b"3")
        assert queues.list_queues()
    assert proxy.keys == ["ASIA2", "ASIA2"], "both at the first try"


def test_credentials_last_while_their_source_fails(
    aws: Cloud, service: ImdsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """botocore asks at each call when ten minutes are left, and fails with the source."""
    service.status = 404
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    give_process(tmp_path, "ASIA1")
    with key_proxy(aws.endpoint_url, "ASIA1", "ExpiredToken") as proxy:
        factory = ClientFactory("us-east-1", proxy.url, 5.0, 1)
        client = factory.client("s3")
        store = Store(client, BUCKETS[0], factory.direct_s3(client, BUCKETS[0], 1))
        store.put("x", b"1")
        (tmp_path / "found.json").unlink()
        store.put("x", b"2")
        assert store.find_tagged("x")


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
