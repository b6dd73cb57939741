"""The short way to S3 against the embedded AWS: what S3 then has, and who does what it cannot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, Cloud, anew
from testkit.aws.recording_proxy import Recorder, recording
from testkit.processes.ports import free_port
from visionfleet.aws import ClientFactory
from visionfleet.aws.s3 import Store, file_name_metadata
from visionfleet.errors import NotFound, TryLater

DATA = b"\x89PNG\r\n--x\r\n" + bytes(range(256))


@pytest.fixture(scope="module")
def aws(running_aws: Cloud) -> Cloud:
    return anew(running_aws)


@dataclass
class Watched:
    """A store with a short way, and a recorder in between."""

    store: Store
    recorder: Recorder

    def agents(self) -> list[str]:
        """Tell who has sent each request so far, and forget them."""
        seen, self.recorder.seen = self.recorder.seen, []
        return ["boto3" if "Boto3" in one.headers["user-agent"] else "direct" for one in seen]


def store(url: str) -> Store:
    door = ClientFactory("us-east-1", url, 5.0, 1, placeholder_credentials=True)
    client = door.client("s3")
    return Store(client, BUCKETS[0], door.direct_s3(client, BUCKETS[0], 2))


@pytest.fixture
def watched(aws: Cloud) -> Iterator[Watched]:
    with recording(aws.endpoint_url) as recorder:
        yield Watched(store(recorder.url), recorder)


def test_what_is_put_is_what_boto3_would_have_put(watched: Watched, aws: Cloud) -> None:
    metadata = file_name_metadata('Löwe "1"\r\n.png')
    watched.store.put("images/j1", DATA, "image/png", metadata)
    assert watched.store.get("images/j1") == DATA
    assert watched.agents() == ["direct", "direct"]
    head = aws.s3.head_object(Bucket=BUCKETS[0], Key="images/j1")
    assert (head["ContentType"], head["Metadata"]) == ("image/png", metadata)


def test_the_first_write_wins(watched: Watched) -> None:
    assert watched.store.put_json_first("first", '{"a": 1}')
    assert watched.agents() == ["direct"]
    assert not watched.store.put_json_first("first", '{"a": 2}')
    assert watched.agents() == ["direct", "boto3"]
    assert watched.store.get("first") == b'{"a": 1}'


@pytest.mark.parametrize("key", ["a/../b", "a//b", "./a", "with space", "löwe", "a%2Fb", "a?b#c"])
def test_keys_that_a_url_would_change_go_the_long_way(watched: Watched, key: str) -> None:
    watched.store.put(key, DATA)
    assert watched.store.get(key) == DATA
    assert watched.agents() == ["boto3", "boto3"]


def test_what_is_not_there(watched: Watched) -> None:
    with pytest.raises(NotFound, match="get images/none"):
        watched.store.get("images/none")


def test_boto3_does_what_failed(watched: Watched) -> None:
    def direct(seen: Any) -> bool:
        return "Boto3" not in seen.headers["user-agent"]

    watched.recorder.spoil = direct
    watched.store.put("images/j2", DATA)
    assert watched.store.get("images/j2") == DATA
    assert not any("expect" in one.headers for one in watched.recorder.seen), "a round trip more"
    assert watched.agents() == ["direct", "boto3", "direct", "boto3"]


def test_nothing_that_listens() -> None:
    with pytest.raises(TryLater, match="put images/j3"):
        store(f"http://127.0.0.1:{free_port()}").put("images/j3", DATA)


def test_behind_a_proxy_clients_know_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    door = ClientFactory("us-east-1", "http://s3.example", 5.0, 1, placeholder_credentials=True)
    assert door.direct_s3(door.client("s3"), BUCKETS[0], 2) is None
    monkeypatch.setenv("no_proxy", "s3.example")
    assert door.direct_s3(door.client("s3"), BUCKETS[0], 2) is not None
