"""The end of a job against the embedded AWS: which result wins, and what is left behind."""

import json
import time
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Outbox, Queue
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.jobs import GAVE_UP, Done, Job, ResultBuilder
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.contract.messages import ModelInfo, Ranked, Request, Timings
from visionfleet.errors import TryLater

KEY = "results/j1.json"
AUTHOR = ResultBuilder("w1", ModelInfo(name="m", fingerprint="f"))

Finish = Callable[[Callable[[Job], Done]], list[Done]]


def outcome(aws: Cloud, results: Store | None = None) -> tuple[Completion, Queue]:
    queue = Queue(aws.sqs, f"{NAME}-requests")
    made = Completion(
        requests=queue,
        outbox=Outbox(aws.sqs),
        results=results or Store(aws.s3, BUCKETS[1]),
        keeper=VisibilityHeartbeat(queue, 10, 60, time.monotonic),
        by_name=True,
        random=Random(0),
        now=time.time,
    )
    return made, queue


def job(made: Completion, queue: Queue) -> Job:
    (message,) = queue.receive(1)
    lease = made.keeper.hold(message, time.monotonic())
    return Job(lease, Request.decode(message.body), Timings())


def success(of: Job) -> Done:
    return AUTHOR.succeeded(of, (Ranked(index=0, label="cat", score=0.9),), 0.1, time.time())


def gave_up(of: Job) -> Done:
    return AUTHOR.failed(of, GAVE_UP, "given up after 4 tries", time.time())


def unreadable(of: Job) -> Done:
    return AUTHOR.failed(of, "cannot_be_decoded", "truncated", time.time())


def finish(aws: Cloud, end: Callable[[Job], Done], results: Store | None = None) -> list[Done]:
    """Send a request, take it, and end it so."""
    aws.send_request("j1", None, file_name="a.png")
    made, queue = outcome(aws, results)
    stored = [one for one in [made.store(end(job(made, queue)))] if one is not None]
    made.answer(stored)
    return [one.done for one in stored]


def status(aws: Cloud) -> Any:
    found = aws.result("j1") or {}
    return found.get("label") or found.get("code")


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        (success, unreadable, "cat"),
        (success, gave_up, "cat"),
        (unreadable, success, "cannot_be_decoded"),
        (gave_up, unreadable, "gave_up"),
        (gave_up, gave_up, "gave_up"),
        (gave_up, success, "cat"),  # a redriven job: giving up is no verdict about the image
    ],
)
def test_first_result_wins_unless_it_was_giving_up(
    aws: Cloud, first: Callable[[Job], Done], second: Callable[[Job], Done], stays: str
) -> None:
    finish(aws, first)
    (ended,) = finish(aws, second)
    assert status(aws) == stays
    assert json.loads(ended.result.model_dump_json()) == aws.result("j1"), "and is the answer"
    assert aws.counts() == (0, 0)


def test_unreadable_result_is_replaced(aws: Cloud) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key=KEY, Body=b'{"v": 9, \xff')
    finish(aws, success)
    assert status(aws) == "cat"


class Contended(Store):
    """S3 while another write of the key is under way: refused with 409, and nothing to read."""

    def put_json_if(self, key: str, text: str, etag: str | None) -> str | None:
        return None


def test_concurrent_result_write_is_try_later(aws: Cloud) -> None:
    assert finish(aws, success, Contended(aws.s3, BUCKETS[1])) == []
    assert status(aws) is None
    assert sum(aws.counts()) == 1, "the message is not deleted"


class NameLost(Store):
    """S3 that fails between the result and the label under the file's name."""

    def put(self, key: str, *rest: Any, **more: Any) -> None:
        if "by-name" in key:
            raise TryLater("503")
        super().put(key, *rest, **more)


def test_label_by_name_survives_a_crashed_writer(aws: Cloud) -> None:
    assert finish(aws, success, NameLost(aws.s3, BUCKETS[1])) == []
    assert (status(aws), aws.object("results/by-name/a")) == ("cat", None)
    finish(aws, lambda of: Done(of, success(of).result, stored=True))
    assert aws.object("results/by-name/a") == b"cat"


def test_undecodable_message_is_dead_lettered_with_its_reason(aws: Cloud) -> None:
    aws.send(f"{NAME}-requests", "no message")
    made, queue = outcome(aws)
    (message,) = queue.receive(1)
    made.bury(made.keeper.hold(message, 0.0), f"{NAME}-requests-dead", "not\x1bJSON" * 200)
    (dead,) = Queue(aws.sqs, f"{NAME}-requests-dead").inspect(1, 5)
    assert dead.message.body == "no message"
    assert dead.attributes["reason"].startswith("not JSONnot JSON")
    assert len(dead.attributes["reason"]) == 500
    assert aws.counts() == (0, 0)


def test_worker_survives_a_missing_dead_letter_queue(aws: Cloud) -> None:
    aws.send(f"{NAME}-requests", "no message")
    made, queue = outcome(aws)
    (message,) = queue.receive(1)
    made.bury(made.keeper.hold(message, 0.0), "nowhere", "bad")
    assert sum(aws.counts()) == 1, "the message is not deleted"
