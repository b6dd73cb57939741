"""The reply queue and its poller against the embedded AWS."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from testkit.aws.embedded import Cloud, emptied
from testkit.aws.fakes import Clock
from testkit.processes.waiting import wait_until
from visionfleet.aws.sqs import Queue
from visionfleet.contract.messages import Failed, Reply, encode
from visionfleet.contract.names import HEARTBEAT_SECONDS
from visionfleet.errors import NotFound
from visionfleet.host.watchdog import Watchdog
from visionfleet.web.jobs.reply_queue import ReplyPoller, ReplyQueue
from visionfleet.web.load.readiness import Readiness

NAME = "visionfleet-replies-host-1"
REPLY = Reply(
    job="j",
    result=Failed(job="j", code="expired", reason="", attempts=1, worker="w", finished_at=0.0),
)


aws = pytest.fixture(emptied, scope="module")


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def queue(aws: Cloud, clock: Clock) -> Iterator[ReplyQueue]:
    made = ReplyQueue(aws.sqs, aws.sqs, NAME, clock, clock, str)
    made.make()
    yield made
    made.remove()


def unexpected(error: BaseException) -> None:
    raise error


def poller_of(
    queue: ReplyQueue,
    wait_seconds: int,
    deliver: Callable[[Reply], object],
    readiness: Readiness | None = None,
    crashed: Callable[[BaseException], None] = unexpected,
) -> ReplyPoller:
    heard = readiness or Readiness(35, time.monotonic)
    watchdog = Watchdog(time.monotonic)
    return ReplyPoller(queue, wait_seconds, deliver, (), heard, watchdog, crashed, Random(0))


def tags(aws: Cloud) -> dict[str, str]:
    found: dict[str, str] = aws.sqs.list_queue_tags(QueueUrl=aws.queue_url(NAME))["Tags"]
    return found


def test_reply_queue_heartbeat_is_renewed_when_due(
    aws: Cloud, queue: ReplyQueue, clock: Clock
) -> None:
    assert tags(aws) == {"visionfleet": "replies", "heartbeat": "1000"}
    clock.now += HEARTBEAT_SECONDS - 1
    queue.beat()
    assert tags(aws)["heartbeat"] == "1000"
    clock.now += 1
    queue.beat()
    assert tags(aws) == {"visionfleet": "replies", "heartbeat": "1300"}


def test_recreated_reply_queue_keeps_its_messages(aws: Cloud, queue: ReplyQueue) -> None:
    aws.send(NAME, encode(REPLY))
    queue.make()
    (received,) = queue.receive(1)
    assert received.body == encode(REPLY)
    queue.delete([received])
    assert aws.counts(NAME) == (0, 0)


def test_reply_queue_has_the_key_of_the_requests(aws: Cloud, clock: Clock) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"
    aws.sqs.create_queue(QueueName="keyed-requests", Attributes={"KmsMasterKeyId": key})
    requests = Queue(aws.sqs, "keyed-requests")
    replies = ReplyQueue(aws.sqs, aws.sqs, "keyed-replies", clock, clock, requests.kms_key)
    replies.make()
    assert Queue(aws.sqs, "keyed-replies").kms_key() == key
    replies.remove()


def test_deleted_reply_queue_is_recreated(aws: Cloud, queue: ReplyQueue) -> None:
    queue.remove()
    with pytest.raises(NotFound):
        queue.receive(0)
    with pytest.raises(NotFound):
        queue.remove()
    queue.make()
    assert queue.receive(0) == []


def test_replies_are_delivered_and_nonsense_is_dropped(aws: Cloud, queue: ReplyQueue) -> None:
    delivered: list[Reply] = []
    polls = itertools.count()
    poller = poller_of(queue, 0, delivered.append, Readiness(35, lambda: next(polls)))
    for body in ["nonsense", encode(REPLY), "{}"]:
        aws.send(NAME, body)
    poller.start()
    wait_until(lambda: aws.counts(NAME) == (0, 0))
    poller.stop(5)
    assert delivered == [REPLY]
    assert next(polls) < 10, "an empty queue does not make it spin"


def test_unexpected_poller_error_ends_the_process(aws: Cloud, queue: ReplyQueue) -> None:
    crashed: list[BaseException] = []
    told = threading.Event()

    def crash(error: BaseException) -> None:
        crashed.append(error)
        told.set()

    def deliver(_: Reply) -> None:
        raise ZeroDivisionError

    poller = poller_of(queue, 1, deliver, crashed=crash)
    aws.send(NAME, encode(REPLY))
    poller.start()
    assert told.wait(30)
    assert isinstance(crashed[0], ZeroDivisionError)


def test_poller_stops_without_waiting_for_its_long_poll(queue: ReplyQueue, tmp_path: Path) -> None:
    poller = poller_of(queue, 10, lambda _: None)
    poller.start()
    stopper = threading.Thread(target=poller.stop, args=(0.1,))
    stopper.start()
    stopper.join(8)
    assert not stopper.is_alive()
