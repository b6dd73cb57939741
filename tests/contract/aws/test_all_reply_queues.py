"""Listing, tagging and removing reply queues at the embedded AWS."""

import pytest

from testkit.aws.embedded import Cloud, emptied
from visionfleet.aws.reply_queues import ReplyQueues, queue_name

PREFIX = "visionfleet-replies-"

aws = pytest.fixture(emptied, scope="module")


def test_reply_queues_are_listed_tagged_and_removed(aws: Cloud) -> None:
    for name in ("visionfleet-replies-a", "visionfleet-replies-b", "other-replies-c"):
        aws.sqs.create_queue(QueueName=name, tags={"heartbeat": name[-1]})
    queues = ReplyQueues(aws.sqs, PREFIX)
    found = {queue_name(url): url for url in queues.urls()}
    assert found.keys() == {"visionfleet-replies-a", "visionfleet-replies-b"}
    assert queues.tags(found["visionfleet-replies-a"]) == {"heartbeat": "a"}

    queues.remove(found["visionfleet-replies-a"])
    assert [queue_name(url) for url in queues.urls()] == ["visionfleet-replies-b"]
    assert queues.tags(found["visionfleet-replies-a"]) == {}, "gone since it was listed"
    queues.remove(found["visionfleet-replies-a"])


def test_reply_queue_without_tags_has_none(aws: Cloud) -> None:
    aws.sqs.create_queue(QueueName=f"{PREFIX}plain")
    url = aws.queue_url(f"{PREFIX}plain")
    assert ReplyQueues(aws.sqs, PREFIX).tags(url) == {}
