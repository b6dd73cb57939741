"""The SQS edge against the embedded AWS."""

import time
from uuid import uuid4

import pytest

from testkit.aws.embedded import Cloud, emptied
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.provisioning import provision_queues
from visionfleet.aws.sqs import Counts, Queue
from visionfleet.config.schema import QueueSection
from visionfleet.errors import LeaseLost, NotFound, Unfit

aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def queue(aws: Cloud) -> Queue:
    name = f"q-{uuid4().hex}"
    aws.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})
    return Queue(aws.sqs, name)


def test_queue_tells_its_customer_key(aws: Cloud, queue: Queue) -> None:
    assert queue.kms_key() == "", "one of SQS itself"
    key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    aws.sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"KmsMasterKeyId": key})
    assert queue.kms_key() == key


def test_message_is_sent_received_and_deleted(queue: Queue) -> None:
    queue.send("hello")
    assert queue.counts() == Counts(1, 0)
    (message,) = queue.receive(wait_seconds=1)
    assert (message.body, message.receive_count) == ("hello", 1)
    assert queue.counts() == Counts(0, 1)
    assert queue.delete([message.receipt]) == {}
    assert queue.counts() == Counts(0, 0)


def test_returned_message_comes_again_with_its_receive_count(queue: Queue) -> None:
    queue.send("hello")
    (first,) = queue.receive(0)
    assert queue.receive(0) == []
    assert queue.extend([first.receipt], 0) == {}
    (second,) = queue.receive(1)
    assert second.receive_count == 2


def test_receiver_says_how_long_it_holds_a_message(queue: Queue) -> None:
    queue.send("hello")
    assert queue.receive(0, hold_seconds=0), "the queue's own timeout is 30 s"
    (again,) = queue.receive(1)
    assert again.receive_count == 2


def test_queue_made_by_hand_differs_until_it_is_provisioned(aws: Cloud) -> None:
    name, settings = f"hand{uuid4().hex[:8]}", QueueSection(max_receives=6, retention_seconds=600)
    aws.sqs.create_queue(QueueName=f"{name}-requests", Attributes={"DelaySeconds": "3"})
    queue = Queue(aws.sqs, f"{name}-requests")
    said = [sentence.split(" is ")[0] for sentence in queue.differences(settings, name)]
    assert said[1:] == ["MessageRetentionPeriod", "DelaySeconds"]
    assert "no RedrivePolicy" in said[0]
    assert len(list(provision_queues(aws.sqs, name, settings))) == 2
    assert queue.differences(settings, name) == []


def test_more_than_ten_messages_are_split_into_batches(queue: Queue) -> None:
    for i in range(23):
        queue.send(str(i))
    messages = [m for _ in range(3) for m in queue.receive(0)]
    assert len(messages) == 23
    receipts = [m.receipt for m in messages]
    assert queue.extend(receipts, 60) == {}
    assert queue.delete(receipts) == {}
    assert queue.counts() == Counts(0, 0)


def test_one_failed_batch_entry_does_not_hide_the_others(aws: Cloud, queue: Queue) -> None:
    queue.send("a")
    queue.send("b")
    kept, gone = (queue.receive(0, maximum=1)[0].receipt for _ in range(2))
    queue.delete([gone])
    failed = queue.extend([kept, gone], 30)
    assert set(failed) == {gone}
    assert isinstance(failed[gone], LeaseLost)


def test_empty_receive_is_a_long_poll(queue: Queue) -> None:
    began = time.monotonic()
    assert queue.receive(wait_seconds=1) == []
    assert time.monotonic() - began >= 0.9


def test_outbox_finds_queues_by_name_and_forgets_deleted_ones(aws: Cloud) -> None:
    outbox, name = Outbox(aws.sqs), f"q-{uuid4().hex}"
    with pytest.raises(NotFound):
        outbox.send(name, "too early")
    url = aws.sqs.create_queue(QueueName=name)["QueueUrl"]
    outbox.send(name, "1")
    assert Queue(aws.sqs, name).counts().visible == 1
    aws.sqs.delete_queue(QueueUrl=url)
    with pytest.raises(NotFound):
        outbox.send(name, "2")


def test_outbox_sends_more_than_one_call_holds(aws: Cloud) -> None:
    """Ten replies with a ranking of a thousand long labels are over 1 MiB."""
    outbox, name = Outbox(aws.sqs), f"q-{uuid4().hex}"
    aws.sqs.create_queue(QueueName=name)
    bodies = [f"{number}{'x' * 105_249}" for number in range(10)]
    assert outbox.send_all(name, bodies) == {}
    queue = Queue(aws.sqs, name)
    received = [message.body for _ in bodies for message in queue.receive(0, 1)]
    assert sorted(received) == bodies


def test_too_long_message_is_unsendable_and_harms_no_other(aws: Cloud) -> None:
    outbox, name = Outbox(aws.sqs), f"q-{uuid4().hex}"
    aws.sqs.create_queue(QueueName=name)
    failed = outbox.send_all(name, ["a", "x" * 1_100_000, "b"])
    assert [type(error) for error in failed.values()] == [Unfit]
    assert Queue(aws.sqs, name).counts().visible == 2


def test_missing_queue_is_reported(aws: Cloud) -> None:
    with pytest.raises(NotFound, match="queue nowhere"):
        Queue(aws.sqs, "nowhere")
