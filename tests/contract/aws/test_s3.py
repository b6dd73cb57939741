"""The S3 edge against the embedded AWS."""

import time

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, anew
from testkit.processes.ports import free_port
from visionfleet.aws import ClientFactory
from visionfleet.aws.s3 import Store, file_name_metadata
from visionfleet.contract import documents
from visionfleet.errors import GiveUp, NotFound, TryLater


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return anew(running_aws)


@pytest.fixture
def store(aws: Cloud) -> Store:
    return Store(aws.s3, BUCKETS[0])


def test_what_is_put_is_got(store: Store, aws: Cloud) -> None:
    store.put("a/b", b"bytes", "image/png", file_name_metadata("Löwe 1.png"))
    assert store.get("a/b") == b"bytes"
    assert store.exists("a/b")
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="a/b")
    assert head["ContentType"] == "image/png"
    assert head["Metadata"] == {"file-name": "L\\u00f6we 1.png"}


def test_what_is_not_there(store: Store) -> None:
    assert store.find("nothing") is None
    assert not store.exists("nothing")
    store.delete("nothing")
    with pytest.raises(NotFound, match="get nothing"):
        store.get("nothing")


def test_the_first_write_wins(store: Store) -> None:
    assert store.put_json_first("first", '{"a": 1}')
    assert not store.put_json_first("first", '{"a": 2}')
    assert store.get("first") == b'{"a": 1}'


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"soon", b"nan"])
def test_an_unreadable_document_is_taken_for_none(
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


def test_a_document_that_is_not_there(store: Store) -> None:
    assert store.read(documents.worker_report("nobody")) is None
    assert store.read_tagged(documents.worker_report("nobody")) == (None, None)


def test_keys_come_in_pages(store: Store) -> None:
    for i in range(3):
        store.put(f"list/{i}", b"")
    assert list(store.keys("list/")) == ["list/0", "list/1", "list/2"]


def test_verify_tells_a_missing_bucket(aws: Cloud) -> None:
    Store(aws.s3, BUCKETS[1]).verify()
    with pytest.raises(NotFound, match="bucket no-such-bucket"):
        Store(aws.s3, "no-such-bucket").verify()


def test_nobody_there_is_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    door = ClientFactory("us-east-1", f"http://127.0.0.1:{free_port()}", 1.0, 1)
    with pytest.raises(TryLater):
        Store(door.client("s3"), "bucket").get("key")


def test_a_refusal_is_for_ever(aws: Cloud) -> None:
    with pytest.raises(GiveUp, match="put a"):
        Store(aws.s3, "x" * 3).put("a", b"", metadata={"k": "v" * 5000})


def test_a_write_over_wants_the_object_that_was_read(store: Store) -> None:
    assert not store.put_json_over("over", "{}", '"0"'), "there is none"
    store.put_json("over", '"first"')
    body, etag = store.get_tagged("over")
    assert body == b'"first"'
    assert store.put_json_over("over", '"second"', etag)
    assert not store.put_json_over("over", '"third"', etag), "it is another one now"
    assert store.get("over") == b'"second"'


def test_a_write_on_condition_gives_the_next_condition(store: Store) -> None:
    first = store.put_json_if("if", '"first"', None)
    assert first is not None
    assert store.put_json_if("if", '"again"', None) is None, "there is one already"
    assert store.find_tagged("if") == (b'"first"', first)
    second = store.put_json_if("if", '"second"', first)
    assert second not in (None, first)
    assert store.put_json_if("if", '"late"', first) is None, "it is another one now"
    assert store.put_json_if("if-not-there", "{}", first) is None
    assert store.get("if") == b'"second"'
    assert store.find_tagged("if-not-there") is None


def test_a_listing_tells_what_has_changed(store: Store) -> None:
    store.put("listed/a", b"1")
    store.put("listed/b", b"2")
    before = {entry.key: entry for entry in store.listed("listed/")}
    assert before.keys() == {"listed/a", "listed/b"}
    assert abs(before["listed/a"].modified_at - time.time()) < 60
    store.put("listed/b", b"3")
    after = {entry.key: entry.etag for entry in store.listed("listed/")}
    assert after["listed/a"] == before["listed/a"].etag
    assert after["listed/b"] != before["listed/b"].etag
    assert store.get_tagged("listed/b")[1] == after["listed/b"]
    assert store.listed("nothing/") == []
