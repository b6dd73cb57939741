"""Direct calls to SQS without boto3: the same effect, and boto3 as the fallback."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from testkit.aws.embedded import NAME, Cloud, emptied
from testkit.aws.iam_requests import SignedRequest
from testkit.aws.recording_proxy import RecordingProxy, recording_proxy
from testkit.processes.ports import free_port
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.outbox import Outbox, send_to
from visionfleet.aws.sqs import Queue
from visionfleet.errors import NotFound, TryLater

REQUESTS = f"{NAME}-requests"

aws = pytest.fixture(emptied, scope="module")


@dataclass
class Watched:
    """A queue whose calls are direct, and a recorder in between."""

    recorder: RecordingProxy
    queue: Queue = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        client = factory(self.recorder.url).sqs(2)
        self.queue, self.outbox = Queue(client, REQUESTS), Outbox(client)
        self.outbox.send(REQUESTS, "to know its URL")
        self.queue.delete([one.receipt for one in self.queue.receive(0)])
        self.recorder.seen = []

    def calls(self) -> list[tuple[str, str]]:
        """Tell who has made which call so far, and forget them."""
        seen, self.recorder.seen = self.recorder.seen, []
        return [(agent(one), one.headers["x-amz-target"].partition(".")[2]) for one in seen]


def agent(one: SignedRequest) -> str:
    return "boto3" if "Botocore" in one.headers["user-agent"] else "direct"


def factory(url: str) -> ClientFactory:
    return ClientFactory("us-east-1", url, 5.0, 1, placeholder_credentials=True)


@pytest.fixture
def watched(aws: Cloud) -> Iterator[Watched]:
    with recording_proxy(aws.endpoint_url) as recorder:
        yield Watched(recorder)


def test_whole_life_of_a_message_is_direct(watched: Watched) -> None:
    assert watched.outbox.send_all(REQUESTS, ['{"a": "ü"}', "b"]) == {}
    received = watched.queue.receive(0)
    assert sorted((one.body, one.receive_count) for one in received) == [
        ("b", 1),
        ('{"a": "ü"}', 1),
    ]
    receipts = [one.receipt for one in received]
    assert watched.queue.extend(receipts, 0) == {}
    again = watched.queue.receive(1)
    assert [one.receive_count for one in again] == [2, 2]
    assert watched.queue.delete([one.receipt for one in again]) == {}
    made = ["SendMessageBatch", "ReceiveMessage", "ChangeMessageVisibilityBatch"]
    made += ["ReceiveMessage", "DeleteMessageBatch"]
    assert watched.calls() == [("direct", name) for name in made]


def test_what_is_not_for_each_message_goes_through_boto3(watched: Watched) -> None:
    assert watched.queue.counts().visible == 0
    assert watched.calls() == [("boto3", "GetQueueAttributes")]


def test_attributes_travel_directly(watched: Watched) -> None:
    watched.outbox.send(REQUESTS, "x", {"reason": "é 1"})
    (letter,) = watched.queue.inspect(0, 0)
    assert letter.attributes == {"reason": "é 1"}
    assert [who for who, _ in watched.calls()] == ["direct", "direct"]
    watched.queue.delete([letter.message.receipt])


def test_failed_direct_calls_are_made_again_by_boto3(watched: Watched) -> None:
    watched.recorder.spoil = lambda seen: agent(seen) == "direct"
    watched.outbox.send(REQUESTS, "x")
    (received,) = watched.queue.receive(0)
    assert watched.queue.delete([received.receipt]) == {}
    assert [who for who, _ in watched.calls()] == ["direct", "boto3"] * 3


def test_direct_call_has_the_errors_of_boto3(watched: Watched, aws: Cloud) -> None:
    aws.sqs.create_queue(QueueName="gone")
    watched.outbox.send("gone", "x")
    aws.sqs.delete_queue(QueueUrl=aws.queue_url("gone"))
    with pytest.raises(NotFound):
        watched.outbox.send("gone", "x")
    (lost,) = watched.queue.delete(["no receipt"]).values()
    assert "ReceiptHandleIsInvalid" in str(lost)


def test_direct_call_to_a_closed_port_is_try_later() -> None:
    client = factory(f"http://127.0.0.1:{free_port()}").sqs(1)
    with pytest.raises(TryLater, match="send"):
        send_to(client, "http://127.0.0.1/1/x", "x")


def test_answers_to_direct_calls_tell_the_time(aws: Cloud) -> None:
    made = factory(aws.endpoint_url)
    client = made.sqs(1)
    url = aws.queue_url(REQUESTS)
    assert not made.clock._told
    client.send_message(QueueUrl=url, MessageBody=json.dumps("x"))
    assert made.clock._told


def test_no_direct_calls_to_sqs_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert "Direct" not in type(factory("http://sqs.example").sqs(1)).__name__
    monkeypatch.setenv("no_proxy", "sqs.example")
    assert "Direct" in type(factory("http://sqs.example").sqs(1)).__name__
