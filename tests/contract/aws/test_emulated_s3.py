"""What S3 answers, at each emulator; docs/emulators.md has what they do otherwise."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from testkit.aws.bare_client import answer, bare_client
from testkit.aws.embedded import BUCKETS, Cloud, emptied
from visionfleet.aws.provisioning import provision_buckets
from visionfleet.aws.s3 import Store
from visionfleet.errors import Denied, GiveUp

BUCKET = BUCKETS[0]
OTHER_ETAG = '"0123456789abcdef0123456789abcdef"'


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    made = emptied(running_aws)
    made.s3.put_object(Bucket=BUCKET, Key="there", Body=b"1", Metadata={"a": "b"})
    made.s3.put_object(Bucket=BUCKET, Key="empty", Body=b"")
    return made


@pytest.fixture(scope="module")
def s3(aws: Cloud) -> Any:
    return bare_client(aws, "s3")


# How a call is refused: its name, what it is given, code and status.
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "second write that wants no object": (
        "put_object",
        {"Key": "there", "Body": b"2", "IfNoneMatch": "*"},
        "PreconditionFailed 412",
    ),
    "write that wants another ETag": (
        "put_object",
        {"Key": "there", "Body": b"2", "IfMatch": OTHER_ETAG},
        "PreconditionFailed 412",
    ),
    "write that wants an ETag of no object": (
        "put_object",
        {"Key": "none", "Body": b"2", "IfMatch": OTHER_ETAG},
        "NoSuchKey 404",
    ),
    "read of no object": ("get_object", {"Key": "none"}, "NoSuchKey 404"),
    "head of no object": ("head_object", {"Key": "none"}, "404 404"),
    "head of no bucket": ("head_bucket", {"Bucket": "no-such-bucket-x"}, "404 404"),
    "write into no bucket": (
        "put_object",
        {"Bucket": "no-such-bucket-x", "Key": "a", "Body": b""},
        "NoSuchBucket 404",
    ),
    "metadata of more than 2 KiB": (
        "put_object",
        {"Key": "m", "Body": b"x", "Metadata": {"a": "b" * 2100}},
        "MetadataTooLarge 400",
    ),
    "range of an empty object": (
        "get_object",
        {"Key": "empty", "Range": "bytes=0-4095"},
        "InvalidRange 416",
    ),
    "copy that wants another ETag": (
        "copy_object",
        {
            "Key": "copy",
            "CopySource": {"Bucket": BUCKET, "Key": "there"},
            "CopySourceIfMatch": OTHER_ETAG,
        },
        "PreconditionFailed 412",
    ),
    "copy of no object": (
        "copy_object",
        {"Key": "copy", "CopySource": {"Bucket": BUCKET, "Key": "none"}},
        "NoSuchKey 404",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_s3_refuses(s3: Any, case: str) -> None:
    call, parameters, refusal = REFUSED[case]
    assert answer(getattr(s3, call), **{"Bucket": BUCKET, **parameters}) == refusal


def test_write_that_wants_the_right_etag_is_done(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="match", Body=b"1", IfNoneMatch="*")["ETag"]
    assert answer(s3.put_object, Bucket=BUCKET, Key="match", Body=b"2", IfMatch=etag) == "ok"
    assert s3.get_object(Bucket=BUCKET, Key="match")["Body"].read() == b"2"


def test_of_writes_that_want_no_object_one_wins(aws: Cloud, s3: Any) -> None:
    def write(turn: int) -> list[str]:
        client = bare_client(aws, "s3")
        return [
            answer(client.put_object, Bucket=BUCKET, Key=f"race/{n}", Body=b"x", IfNoneMatch="*")
            for n in range(15)
        ]

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(write, range(6)))
    assert [each.count("ok") for each in zip(*answers, strict=True)] == [1] * 15


def test_copy_that_wants_the_right_etag_replaces_metadata(s3: Any) -> None:
    etag = s3.head_object(Bucket=BUCKET, Key="there")["ETag"]
    s3.copy_object(
        Bucket=BUCKET,
        Key="copied",
        CopySource={"Bucket": BUCKET, "Key": "there"},
        CopySourceIfMatch=etag,
        MetadataDirective="REPLACE",
        ContentType="image/png",
        Metadata={"n": "v"},
    )
    found = s3.head_object(Bucket=BUCKET, Key="copied")
    assert (found["ContentType"], found["Metadata"]) == ("image/png", {"n": "v"})


def test_delete_of_no_object_succeeds(s3: Any) -> None:
    assert answer(s3.delete_object, Bucket=BUCKET, Key="none") == "ok"


def test_listing_comes_in_pages(s3: Any) -> None:
    for number in range(5):
        s3.put_object(Bucket=BUCKET, Key=f"pages/{number}", Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="pages/", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["Contents"]) for page in pages] == [2, 2, 1]


def test_own_bucket_made_again_is_no_error(s3: Any) -> None:
    """In us-east-1 alone; elsewhere it is BucketAlreadyOwnedByYou."""
    assert answer(s3.create_bucket, Bucket=BUCKET) == "ok"


ANOTHER, OURS = "111111111111", "222222222222"


def test_bucket_of_another_account_is_not_adopted(aws: Cloud) -> None:
    answer(bare_client(aws, "s3", ANOTHER).create_bucket, Bucket="vf-sniped")
    ours = bare_client(aws, "s3", OURS)
    with pytest.raises(GiveUp, match="bucket vf-sniped: another account has one of this name"):
        list(provision_buckets(ours, "us-east-1", {"vf-sniped"}))


def test_verify_tells_of_another_accounts_bucket(aws: Cloud) -> None:
    answer(bare_client(aws, "s3", ANOTHER).create_bucket, Bucket="vf-foreign")
    with pytest.raises(Denied, match="or it is another account's bucket"):
        Store(bare_client(aws, "s3", OURS), "vf-foreign").verify()


def test_bucket_of_another_owner_is_refused(aws: Cloud) -> None:
    another = bare_client(aws, "s3", ANOTHER)
    answer(another.create_bucket, Bucket="vf-owned")
    put = {"Bucket": "vf-owned", "Key": "k", "Body": b"x"}
    assert answer(another.put_object, **put, ExpectedBucketOwner=OURS) == "AccessDenied 403"
    assert answer(another.put_object, **put, ExpectedBucketOwner=ANOTHER) == "ok"
