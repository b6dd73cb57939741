"""The S3 edge against the embedded AWS."""

import time
from datetime import UTC, datetime
from unittest.mock import Mock

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.processes.ports import free_port
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.s3 import Stat, Store, file_name_metadata
from visionfleet.contract import documents
from visionfleet.errors import GiveUp, NotFound, TryLater

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def store(aws: Cloud) -> Store:
    return Store(aws.s3, BUCKETS[0])


def test_put_object_is_read_back(store: Store, aws: Cloud) -> None:
    store.put("a/b", b"bytes", "image/png", file_name_metadata("Löwe 1.png"))
    assert store.get("a/b") == b"bytes"
    assert store.exists("a/b")
    assert 0 <= store.stat("a/b").age_seconds < 60
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="a/b")
    assert head["ContentType"] == "image/png"
    assert head["Metadata"] == {"file-name": "L\\u00f6we 1.png"}


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sat, 28 Nov 2026 18:59:35 GMT", 95.0),
        ("Sat, 28 Nov 2026 18:59:35 GMT, Sat, 28 Nov 2026 18:00:00 GMT", 95.0),
        ("Sat, 28 Nov 2026 18:59:35 -0000", 0.0),
        ("now", 0.0),
        ("", 0.0),
    ],
)
def test_age_of_an_object_is_by_the_clock_of_s3(date: str, seconds: float) -> None:
    modified = datetime(2026, 11, 28, 18, 58, 0, tzinfo=UTC)
    found = {"ContentLength": 1, "ETag": "e", "LastModified": modified}
    client = Mock()
    client.head_object.return_value = {
        **found,
        "ResponseMetadata": {"HTTPHeaders": {"date": date} if date else {}},
    }
    assert Store(client, "b").stat("k") == Stat(1, "e", seconds)


def test_missing_object_is_not_found(store: Store) -> None:
    assert store.find("nothing") is None
    assert not store.exists("nothing")
    store.delete("nothing")
    with pytest.raises(NotFound, match="get nothing"):
        store.get("nothing")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"soon", b"nan"])
def test_unreadable_document_counts_as_missing(
    store: Store, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("fleet/drain/w", body)
    document = documents.drain_request("w")
    assert store.read(document) is None
    assert store.read(document) is None
    assert [record.getMessage() for record in caplog.records] == ["unreadable"]
    value, etag = store.read_tagged(document)
    assert value is None
    assert etag
    store.put("fleet/drain/w", b"12.5")
    assert store.read(document) == 12.5


def test_missing_document_is_none(store: Store) -> None:
    assert store.read(documents.worker_report("nobody")) is None
    assert store.read_tagged(documents.worker_report("nobody")) == (None, None)


def test_listing_reads_all_pages(store: Store) -> None:
    for i in range(3):
        store.put(f"list/{i}", b"")
    assert list(store.keys("list/")) == ["list/0", "list/1", "list/2"]


def test_missing_bucket_is_reported(aws: Cloud) -> None:
    Store(aws.s3, BUCKETS[1]).verify()
    with pytest.raises(NotFound, match="bucket no-such-bucket"):
        Store(aws.s3, "no-such-bucket").verify()


def test_unreachable_s3_is_try_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    door = ClientFactory("us-east-1", f"http://127.0.0.1:{free_port()}", 1.0, 1)
    with pytest.raises(TryLater):
        Store(door.client("s3"), "bucket").get("key")


def test_denied_access_is_give_up(aws: Cloud) -> None:
    with pytest.raises(GiveUp, match="put a"):
        Store(aws.s3, "x" * 3).put("a", b"", metadata={"k": "v" * 5000})


def test_conditional_put_returns_the_next_etag(store: Store) -> None:
    first = store.put_json_if("if", '"first"', None)
    assert first is not None
    assert store.put_json_if("if", '"again"', None) is None, "there is one already"
    assert store.get("if") == b'"first"'
    assert store.find_tagged("if") == (b'"first"', first)
    second = store.put_json_if("if", '"second"', first)
    assert second not in (None, first)
    assert store.put_json_if("if", '"late"', first) is None, "it is another one now"
    assert store.put_json_if("if-not-there", "{}", first) is None
    assert store.get("if") == b'"second"'
    assert store.find_tagged("if-not-there") is None


def test_listing_has_etags_that_show_changes(store: Store) -> None:
    store.put("listed/a", b"1")
    store.put("listed/b", b"2")
    before = {entry.key: entry for entry in store.listed("listed/")}
    assert before.keys() == {"listed/a", "listed/b"}
    assert abs(before["listed/a"].modified_at - time.time()) < 60
    store.put("listed/b", b"3")
    after = {entry.key: entry.etag for entry in store.listed("listed/")}
    assert after["listed/a"] == before["listed/a"].etag
    assert after["listed/b"] != before["listed/b"].etag
    found = store.find_tagged("listed/b")
    assert found is not None
    assert found[1] == after["listed/b"]
    assert store.listed("nothing/") == []
