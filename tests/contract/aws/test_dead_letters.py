"""Dead letters at the embedded AWS: neither listing nor redrive loses any."""

import json
import time
from contextlib import suppress
from typing import Any, cast

import boto3
import pytest
from botocore.stub import Stubber

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from testkit.aws.move_tasks import FakeMoveTasks
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.aws.sqs_move_tasks import MoveTasks
from visionfleet.dead_letters import inspect
from visionfleet.dead_letters.inspect import DeadLetterSample, reason, result
from visionfleet.dead_letters.redrive import MoveOneByOne, Throttle, by_task
from visionfleet.errors import GiveUp, TryLater

REQUESTS, DEAD = f"{NAME}-requests", f"{NAME}-requests-dead"


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "WAIT_SECONDS", 0)


@pytest.fixture
def dead(aws: Cloud) -> Queue:
    return Queue(aws.sqs, DEAD)


def request(job: str) -> str:
    document = {"v": 1, "job": job, "key": f"images/{job}", "sent_at": 5.0, "file_name": "a.png"}
    return json.dumps(document)


def fill(aws: Cloud, count: int) -> list[str]:
    bodies = [request(f"j{i}") for i in range(count)]
    for body in bodies:
        aws.send(DEAD, body)
    return bodies


def bodies(aws: Cloud, queue: str) -> list[str]:
    """All that is in a queue, and nobody has in flight."""
    there = Queue(aws.sqs, queue)
    found = []
    while received := there.inspect(0, 60):
        found += [each.message.body for each in received]
        there.delete([each.message.receipt for each in received])
    return sorted(found)


def one_by_one(aws: Cloud, dead: Queue, **more: Any) -> MoveOneByOne:
    throttle = Throttle(None, time.monotonic, time.sleep)
    options = {"throttle": throttle, "only_decodable": False, **more}
    return MoveOneByOne(dead, options.pop("requests", None) or Queue(aws.sqs, REQUESTS), **options)


def test_listing_returns_all_messages_and_shows_each_once(aws: Cloud, dead: Queue) -> None:
    sent = fill(aws, 25)
    with DeadLetterSample(dead) as sample:
        seen = [each.delivery.message.body for each in sample.dead_letters()]
        assert aws.counts(DEAD) == (0, 25)
    assert sorted(seen) == sorted(sent)
    assert aws.counts(DEAD) == (25, 0)


def test_listing_returns_messages_at_its_limit_and_on_errors(aws: Cloud, dead: Queue) -> None:
    fill(aws, 25)
    with DeadLetterSample(dead) as sample:
        assert len(list(sample.dead_letters(limit=12))) == 12
    with suppress(KeyboardInterrupt), DeadLetterSample(dead) as sample:
        next(sample.dead_letters())
        raise KeyboardInterrupt
    assert aws.counts(DEAD) == (25, 0)


def test_listing_shows_a_message_received_twice_once(
    aws: Cloud, dead: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that takes longer than it may hold: every receive brings all of them again."""
    monkeypatch.setattr(inspect, "HOLD_SECONDS", 0)
    fill(aws, 8)
    with DeadLetterSample(dead) as sample:
        assert len(list(sample.dead_letters())) == 8


def test_reason_comes_from_attribute_body_or_result(aws: Cloud, dead: Queue) -> None:
    Outbox(aws.sqs).send(DEAD, "noted", {"reason": "worker says so"})
    for body in ("no JSON", request("none"), request("failed"), request("done"), request("odd")):
        aws.send(DEAD, body)
    end = {"v": 1, "attempts": 4, "worker": "w", "finished_at": 1.0}
    failed = {**end, "status": "failed", "job": "failed", "code": "gave_up", "reason": "x"}
    done = {**end, "status": "succeeded", "job": "done", "label": "cat", "score": 1.0}
    done |= {"top": [{"index": 0, "label": "cat", "score": 1.0}], "timings": {}}
    done |= {"model": {"name": "m", "fingerprint": "f"}}
    for job, body in (("failed", json.dumps(failed)), ("done", json.dumps(done)), ("odd", "{")):
        aws.s3.put_object(Bucket=BUCKETS[1], Key=f"results/{job}.json", Body=body.encode())
    results = Store(aws.s3, BUCKETS[1])
    with DeadLetterSample(dead) as sample:
        found = {
            each.job or each.delivery.message.body: reason(each, result(each, results))
            for each in sample.dead_letters()
        }
    assert found.pop("no JSON").startswith("message: Invalid JSON")
    assert found == {
        "noted": "worker says so",
        "none": "no result",
        "failed": "gave_up",
        "done": "succeeded",
        "odd": "no result",
    }


def test_redrive_one_by_one_moves_all(aws: Cloud, dead: Queue) -> None:
    sent = fill(aws, 25)
    moved = [each.delivery.message.body for each in one_by_one(aws, dead).run(None)]
    assert sorted(moved) == sorted(sent)
    assert aws.counts(DEAD) == (0, 0)
    assert bodies(aws, REQUESTS) == sorted(sent)


def test_redrive_one_by_one_stops_at_its_limit(aws: Cloud, dead: Queue) -> None:
    fill(aws, 25)
    assert len(list(one_by_one(aws, dead).run(7))) == 7
    assert (aws.counts(DEAD), aws.counts(REQUESTS)) == ((18, 0), (7, 0))


def test_redrive_one_by_one_can_skip_undecodable_messages(aws: Cloud, dead: Queue) -> None:
    fill(aws, 3)
    aws.send(DEAD, "no message")
    assert len(list(one_by_one(aws, dead, only_decodable=True).run(None))) == 3
    assert bodies(aws, DEAD) == ["no message"]


class Burying(Queue):
    """Requests with a worker that buries each at once, as it does what it cannot decode."""

    buried = 0

    def send(self, body: str) -> None:
        Outbox(self._client).send(DEAD, body, {"reason": "again"})
        self.buried += 1


def test_redrive_one_by_one_ends_when_messages_return_at_once(aws: Cloud, dead: Queue) -> None:
    requests = Burying(aws.sqs, REQUESTS)
    aws.send(DEAD, "no message")
    aws.send(DEAD, "nor this")
    assert len(list(one_by_one(aws, dead, requests=requests).run(None))) == 2
    assert requests.buried == 2
    assert aws.counts(DEAD) == (2, 0)


class Failing(Queue):
    """SQS that takes some messages and then fails."""

    left = 4

    def send(self, body: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise TryLater("503")
        super().send(body)


def test_redrive_one_by_one_resumes_after_a_failure(aws: Cloud, dead: Queue) -> None:
    sent = fill(aws, 25)
    moving = one_by_one(aws, dead, requests=Failing(aws.sqs, REQUESTS)).run(None)
    with pytest.raises(TryLater):
        list(moving)
    assert (aws.counts(DEAD), aws.counts(REQUESTS)) == ((21, 0), (4, 0)), "none is in flight"
    assert len(list(one_by_one(aws, dead).run(None))) == 21
    assert bodies(aws, REQUESTS) == sorted(sent)


class NotDeleting(Queue):
    """Dead letters that cannot be deleted: the answer was lost, or the hold."""

    def delete(self, receipts: Any) -> Any:
        return dict.fromkeys(receipts, TryLater("503"))


def test_redrive_one_by_one_moves_at_least_once(aws: Cloud, dead: Queue) -> None:
    sent = fill(aws, 1)
    with pytest.raises(TryLater, match="still among the dead letters"):
        list(one_by_one(aws, NotDeleting(aws.sqs, DEAD)).run(None))
    assert aws.counts(DEAD) == (1, 0)
    list(one_by_one(aws, dead).run(None))
    assert bodies(aws, REQUESTS) == sent * 2


def test_redrive_one_by_one_keeps_its_rate() -> None:
    now, waits = [100.0], []

    def wait(seconds: float) -> None:
        waits.append(round(seconds, 3))
        now[0] += seconds

    throttle = Throttle(4, lambda: now[0], wait)
    for _ in range(4):
        throttle.step()
    now[0] += 10  # a pause earns no burst
    throttle.step()
    throttle.step()
    assert waits == [0.25, 0.25, 0.25, 0.25]


def no_wait(_: float) -> None:
    pass


def move_tasks(sqs: FakeMoveTasks) -> MoveTasks:
    return MoveTasks(cast(Any, sqs), "arn:dead", "arn:requests")


def test_move_task_gets_its_rate_and_is_followed_to_its_end() -> None:
    sqs = FakeMoveTasks("arn:dead", 25)
    tasks = move_tasks(sqs)
    before = tasks.latest()
    assert before is None
    tasks.start(50)
    seen = [(move.status, move.moved, move.to_move) for move in by_task(tasks, before, no_wait)]
    running = [("RUNNING", moved, 25) for moved in (0, 10, 20)]
    assert seen == [*running, ("COMPLETED", 25, 25)]
    assert sqs.started == [
        {
            "SourceArn": "arn:dead",
            "DestinationArn": "arn:requests",
            "MaxNumberOfMessagesPerSecond": 50,
        }
    ]


def test_move_task_is_told_from_an_earlier_one() -> None:
    sqs = FakeMoveTasks("arn:dead", 5)
    tasks = move_tasks(sqs)
    tasks.start(None)
    list(by_task(tasks, None, no_wait))
    before = tasks.latest()
    sqs.waiting, sqs.hidden = 12, 2
    tasks.start(None)
    assert [move.moved for move in by_task(tasks, before, no_wait)][-1] == 12
    assert "MaxNumberOfMessagesPerSecond" not in sqs.started[1]


def test_move_task_failure_and_conflict_give_their_reason() -> None:
    sqs = FakeMoveTasks("arn:dead", 25, ends_as="FAILED")
    tasks = move_tasks(sqs)
    tasks.start(None)
    with pytest.raises(GiveUp, match="one only"):
        tasks.start(None)
    with pytest.raises(GiveUp, match="ended as FAILED: AccessDenied"):
        list(by_task(tasks, None, no_wait))


def test_move_task_that_is_never_listed_is_an_error() -> None:
    sqs = FakeMoveTasks("arn:dead", 25, hidden_looks=1000)
    tasks = move_tasks(sqs)
    tasks.start(None)
    with pytest.raises(TryLater, match="does not list it"):
        list(by_task(tasks, None, no_wait))


def test_move_task_stand_in_has_the_calls_of_boto3() -> None:
    """The stand-in takes anything: botocore's own model checks names and types."""
    client = boto3.client("sqs", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stub:
        task = {"Status": "RUNNING", "StartedTimestamp": 7, "ApproximateNumberOfMessagesMoved": 3}
        stub.add_response("list_message_move_tasks", {"Results": [task]})
        stub.add_response("start_message_move_task", {"TaskHandle": "h"})
        tasks = MoveTasks(client, "arn:dead", "arn:requests")
        latest = tasks.latest()
        assert latest is not None
        assert (latest.moved, latest.running, latest.to_move) == (3, True, None)
        tasks.start(500)
        stub.assert_no_pending_responses()
