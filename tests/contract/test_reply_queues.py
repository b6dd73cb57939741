"""All reply queues of a deployment, against the embedded AWS."""

from collections.abc import Iterator

import pytest

from tests.support.cloud import Cloud, cloud
from visionfleet.reply_queues import ReplyQueues, queue_name

PREFIX = "visionfleet-replies-"


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("aws")) as made:
        yield made


def test_those_of_the_prefix_are_listed_tagged_and_removed(aws: Cloud) -> None:
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


def test_a_queue_without_tags_has_none(aws: Cloud) -> None:
    aws.sqs.create_queue(QueueName=f"{PREFIX}plain")
    url = aws.queue_url(f"{PREFIX}plain")
    assert ReplyQueues(aws.sqs, PREFIX).tags(url) == {}
