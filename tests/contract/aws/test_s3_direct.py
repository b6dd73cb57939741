"""Direct calls to S3 without boto3: the same effect, and boto3 as the fallback."""

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.aws.recording_proxy import RecordingProxy, recording_proxy
from testkit.processes.ports import free_port
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import DETOURS_UNTIL_TRIED, MOST_DETOURS, Store, file_name_metadata
from visionfleet.errors import NotFound, TryLater

DATA = b"\x89PNG\r\n--x\r\n" + bytes(range(256))

aws = pytest.fixture(emptied, scope="module")


@dataclass
class Watched:
    """A store with a short way, and a recorder in between."""

    store: Store
    recorder: RecordingProxy

    def agents(self) -> list[str]:
        """Tell who has sent each request so far, and forget them."""
        seen, self.recorder.seen = self.recorder.seen, []
        return ["boto3" if "Botocore" in one.headers["user-agent"] else "direct" for one in seen]


def store(url: str, owner: str | None = None, bucket: str = BUCKETS[0]) -> Store:
    factory = ClientFactory("us-east-1", url, 5.0, 1, True, bucket_owner=owner)
    client = factory.client("s3")
    return Store(client, bucket, factory.direct_s3(client, bucket, 2))


@pytest.fixture
def watched(aws: Cloud) -> Iterator[Watched]:
    with recording_proxy(aws.endpoint_url) as recorder:
        yield Watched(store(recorder.url), recorder)


def test_direct_put_stores_what_boto3_would(watched: Watched, aws: Cloud) -> None:
    metadata = file_name_metadata('Löwe "1"\r\n.png')
    watched.store.put("images/j1", DATA, "image/png", metadata)
    assert watched.store.get("images/j1") == DATA
    assert watched.agents() == ["direct", "direct"]
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="images/j1")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", metadata)


@pytest.mark.parametrize("spoilt", [False, True], ids=["direct", "boto3"])
@pytest.mark.parametrize("body", [DATA, b"", b"{}" * 60_000])
def test_put_has_the_checksum_that_object_lock_wants(
    watched: Watched, body: bytes, *, spoilt: bool
) -> None:
    watched.recorder.spoil = lambda seen: spoilt and "Botocore" not in seen.headers["user-agent"]
    watched.store.put("images/locked", body)
    put = watched.recorder.seen[-1]
    checksum = base64.b64decode(put.headers["x-amz-checksum-crc32"])
    assert (put.status, int.from_bytes(checksum)) == (200, zlib.crc32(body))
    assert "content-encoding" not in put.headers, "not in chunks"


def test_direct_conditional_put_lets_the_first_write_win(watched: Watched) -> None:
    etag = watched.store.put_json_if("first", '{"a": 1}', None)
    assert watched.agents() == ["direct"]
    assert watched.store.find_tagged("first") == (b'{"a": 1}', etag)
    assert watched.agents() == ["boto3"]
    assert watched.store.put_json_if("first", '{"a": 2}', None) is None
    assert watched.agents() == ["direct", "boto3"]
    assert watched.store.get("first") == b'{"a": 1}'


def test_direct_conditional_put_overwrites_its_etag(watched: Watched) -> None:
    first = watched.store.put_json_if("over", "1", None)
    second = watched.store.put_json_if("over", "2", first)
    assert watched.agents() == ["direct", "direct"]
    assert watched.store.put_json_if("over", "3", first) is None
    assert watched.store.find_tagged("over") == (b"2", second)


@pytest.mark.parametrize("key", ["a/../b", "a//b", "./a", "with space", "löwe", "a%2Fb", "a?b#c"])
def test_keys_that_need_escaping_go_through_boto3(watched: Watched, key: str) -> None:
    watched.store.put(key, DATA)
    assert watched.store.get(key) == DATA
    assert watched.agents() == ["boto3", "boto3"]


@pytest.mark.parametrize("key", ["large", "large + large"])
def test_no_more_than_the_limit_is_read(watched: Watched, aws: Cloud, key: str) -> None:
    aws.s3.put_object(Bucket=BUCKETS[0], Key=key, Body=bytes(5 << 20))
    assert len(watched.store.get(key, 1000)) == 1001
    assert len(watched.store.get(key, 5 << 20)) == 5 << 20
    aws.s3.put_object(Bucket=BUCKETS[0], Key=key, Body=b"")
    assert watched.store.get(key, 1000) == b""


def test_direct_get_of_a_missing_object_is_not_found(watched: Watched) -> None:
    with pytest.raises(NotFound, match="get images/none"):
        watched.store.get("images/none")


def test_failed_direct_calls_go_through_boto3(watched: Watched) -> None:
    def direct(seen: Any) -> bool:
        return "Botocore" not in seen.headers["user-agent"]

    watched.recorder.spoil = direct
    watched.store.put("images/j2", DATA)
    assert watched.store.get("images/j2") == DATA
    assert not any("expect" in one.headers for one in watched.recorder.seen), "a round trip more"
    assert watched.agents() == ["direct", "boto3", "direct", "boto3"]


def test_calls_that_only_boto3_can_make_are_told_once(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.recorder.spoil = lambda seen: "Botocore" not in seen.headers["user-agent"]
    for _ in range(MOST_DETOURS):
        watched.store.put("images/j4", DATA)
        watched.store.get("images/j4")
    agents = watched.agents()
    assert (agents.count("boto3"), agents.count("direct")) == (2 * MOST_DETOURS, MOST_DETOURS)
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in told] == ["direct calls fail, boto3's do not"]


def test_direct_calls_are_tried_again_after_many_detours(watched: Watched) -> None:
    watched.recorder.spoil = lambda seen: "Botocore" not in seen.headers["user-agent"]
    for _ in range(DETOURS_UNTIL_TRIED):
        watched.store.put("images/j4", DATA)
    watched.recorder.spoil = lambda _: False
    watched.agents()
    for _ in range(2):
        watched.store.put("images/j4", DATA)
    assert watched.agents() == ["direct", "direct"]


def test_answers_that_boto3_gets_too_are_no_detour(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MOST_DETOURS):
        assert watched.store.find("images/none") is None
        watched.store.put_json_if("once", "1", None)
    assert caplog.records == []


def test_bucket_in_another_region_works_with_a_warning(
    aws: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    there = {"LocationConstraint": "eu-central-1"}
    aws.s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration=there)
    made = store(aws.endpoint_url, bucket="elsewhere")
    made.verify()
    made.put("images/j7", DATA)
    assert made.get("images/j7") == DATA
    (told,) = caplog.records
    assert told.getMessage() == "bucket is in another region"
    assert vars(told)["region"] == "eu-central-1"


def test_every_call_names_the_owner_of_the_bucket(aws: Cloud) -> None:
    aws.s3.put_object(Bucket=BUCKETS[0], Key="uploads/u", Body=DATA)
    with recording_proxy(aws.endpoint_url) as recorder:
        made = store(recorder.url, "123456789012")
        made.verify()
        etag = made.put("images/j5", DATA)
        made.get("images/j5")
        made.find_tagged("images/j5")
        made.stat("images/j5")
        made.copy(("images/j5", etag), "images/j6", "image/png", {})
        made.listed("images/")
        made.delete("images/j5")
    named = [one.headers.get("x-amz-expected-bucket-owner") for one in recorder.seen]
    assert named == ["123456789012"] * 8
    copied = [one.headers for one in recorder.seen if "x-amz-copy-source" in one.headers]
    assert copied[0]["x-amz-source-expected-bucket-owner"] == "123456789012"


def test_direct_call_to_a_closed_port_is_try_later() -> None:
    with pytest.raises(TryLater, match="put images/j3"):
        store(f"http://127.0.0.1:{free_port()}").put("images/j3", DATA)


def test_direct_calls_are_off_for_directory_buckets() -> None:
    """They have sessions, which only boto3 signs with."""
    factory = ClientFactory("us-east-1", "http://s3.example", 5.0, 1, placeholder_credentials=True)
    assert factory.direct_s3(factory.client("s3"), "photos--use1-az4--x-s3", 2) is None


def test_direct_calls_are_off_behind_an_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    factory = ClientFactory("us-east-1", "http://s3.example", 5.0, 1, placeholder_credentials=True)
    assert factory.direct_s3(factory.client("s3"), BUCKETS[0], 2) is None
    monkeypatch.setenv("no_proxy", "s3.example")
    assert factory.direct_s3(factory.client("s3"), BUCKETS[0], 2) is not None
