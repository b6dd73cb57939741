"""Which posts of a form S3 takes; docs/emulators.md has what emulators do otherwise."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from testkit.aws.embedded import BUCKETS, CREDENTIALS, Cloud, cloud, emptied
from testkit.aws.ministack import ministack
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import PresignedPost, Store

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture(scope="module", params=["moto", "ministack"])
def running_aws(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    """One of the emulators; MiniStack looks at a form's signature only where it does at all."""
    folder = tmp_path_factory.mktemp(request.param)
    with cloud(folder) if request.param == "moto" else ministack(folder, True) as made:
        yield made


aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def form(aws: Cloud, keys: None) -> PresignedPost:
    return made(aws, 60)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


def made(aws: Cloud, seconds: int) -> PresignedPost:
    factory = ClientFactory("us-east-1", aws.endpoint_url, 5.0, 1)
    store = Store(factory.client("s3"), BUCKETS[0])
    return store.presigned_post("uploads/u1", "image/png", 1000, time.time() + seconds)


def posted(form: PresignedPost, body: bytes = b"x" * 100, **changed: str) -> str:
    """Post a form as a browser does; returns the status, and the code of a refusal."""
    fields = {**form.fields, **{name.replace("_", "-"): text for name, text in changed.items()}}
    files = {"file": ("a.png", body)}
    answer = requests.post(form.url, data=fields, files=files, timeout=30)
    code = re.search("<Code>(.*?)</Code>", answer.text)
    return f"{answer.status_code} {code[1]}" if code else str(answer.status_code)


def test_form_stores_the_upload_with_its_type(aws: Cloud, form: PresignedPost) -> None:
    assert posted(form) in {"200", "201", "204"}
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="uploads/u1")
    assert (head["ContentType"], head["ContentLength"]) == ("image/png", 100)


def test_form_stores_under_the_bucket_s_key(aws: Cloud, form: PresignedPost) -> None:
    """The form names no key, so whoever posts it cannot choose one."""
    assert not [name for name in form.fields if "encryption" in name]
    key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    rule = {"ApplyServerSideEncryptionByDefault": key, "BucketKeyEnabled": True}
    encryption = {"Rules": [rule]}
    bucket = BUCKETS[0]
    aws.s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=encryption)
    assert posted(form) in {"200", "201", "204"}
    head = aws.s3.head_object(Bucket=bucket, Key="uploads/u1")
    aws.s3.delete_bucket_encryption(Bucket=bucket)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", KEY)


FALSE: dict[str, tuple[dict[str, Any], str]] = {
    "form with more bytes than allowed": ({"body": b"x" * 1001}, "400 EntityTooLarge"),
    "form with no bytes": ({"body": b""}, "400 EntityTooSmall"),
    "form with another key": ({"key": "images/evil"}, "403 AccessDenied"),
    "form with another type": ({"Content_Type": "text/html"}, "403 AccessDenied"),
    "form with a false signature": (
        {"x_amz_signature": "0" * 64},
        "403 SignatureDoesNotMatch",
    ),
    "form with a false policy": ({"policy": "e30="}, "403 SignatureDoesNotMatch"),
    "form with a field that its policy has not": (
        {"acl": "public-read"},
        "403 AccessDenied",
    ),
    "form with a key of its own": (
        {"x_amz_server_side_encryption": "aws:kms"},
        "403 AccessDenied",
    ),
}


@pytest.mark.usefixtures("keys")
def test_form_is_refused_after_its_time(aws: Cloud) -> None:
    assert posted(made(aws, -5)) == "403 AccessDenied"


@pytest.mark.parametrize("case", FALSE)
def test_form_is_refused(aws: Cloud, form: PresignedPost, case: str) -> None:
    changed, refusal = FALSE[case]
    aws.s3.delete_object(Bucket=BUCKETS[0], Key="uploads/u1")
    assert posted(form, **changed) == refusal
    assert aws.keys("", BUCKETS[0]) == []
