"""The end of a job against the embedded AWS: which result wins, and what is left behind."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from testkit.aws.embedded import BUCKETS, NAME, Cloud
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import Delivery, InFlight
from visionfleet.classifier.jobs import GAVE_UP, Done, Job, ResultBuilder
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.retrier import Retrier
from visionfleet.classifier.store import ResultWriter
from visionfleet.contract.messages import ModelInfo, Ranked, Request, Timings
from visionfleet.errors import Denied, TryLater
from visionfleet.host.watchdog import Watchdog

KEY = "results/j1.json"
BUILDER = ResultBuilder("w1", ModelInfo(name="m", fingerprint="f"), lambda: 0.0)

Finish = Callable[..., list[Done]]


@pytest.fixture
def completion(aws: Cloud) -> Completion:
    return Completion(
        requests=Queue(aws.sqs, f"{NAME}-requests"),
        outbox=Outbox(aws.sqs),
        dead_letters=f"{NAME}-requests-dead",
        max_receives=5,
        in_flight=InFlight(10),
        metrics=ClassifierMetrics(),
        random=Random(0),
    )


def received(completion: Completion) -> Delivery:
    now = time.monotonic()
    (delivery,) = completion.in_flight.begin(completion.requests.receive(1), now, now + 10)
    return delivery


def success(of: Job) -> Done:
    return BUILDER.succeeded(of, (Ranked(index=0, label="cat", score=0.9),), 0.1)


def gave_up(of: Job) -> Done:
    return BUILDER.failed(of, GAVE_UP, "given up after 4 tries")


def unreadable(of: Job) -> Done:
    return BUILDER.failed(of, "cannot_be_decoded", "truncated")


@pytest.fixture
def finish(aws: Cloud, completion: Completion) -> Finish:
    """Send a request, take it, and end it so."""

    def run(end: Callable[[Job], Done], results: Store | None = None) -> list[Done]:
        aws.send_request("j1", None, file_name="a.png")
        delivery = received(completion)
        job = Job(delivery, Request.decode(delivery.message.body), Timings())
        stored: list[Done] = []
        store = results or Store(aws.s3, BUCKETS[1])
        handing_back = threading.Event()
        handing_back.set()  # one try each
        ended: list[BaseException] = []
        retrier = Retrier(
            completion, handing_back, Random(0), Watchdog(time.monotonic), ended.append
        )
        ResultWriter(store, True, completion, stored.append, retrier).store([end(job)])
        completion.answer(stored)
        assert completion.in_flight.counts().in_flight == 0
        return stored

    return run


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
    aws: Cloud,
    finish: Finish,
    first: Callable[[Job], Done],
    second: Callable[[Job], Done],
    stays: str,
) -> None:
    finish(first)
    (ended,) = finish(second)
    assert status(aws) == stays
    assert json.loads(ended.result.model_dump_json()) == aws.result("j1"), "and is the answer"
    assert aws.counts() == (0, 0)


def test_unreadable_result_is_replaced(aws: Cloud, finish: Finish) -> None:
    aws.s3.put_object(Bucket=BUCKETS[1], Key=KEY, Body=b'{"v": 9, \xff')
    finish(success)
    assert status(aws) == "cat"


class Contended(Store):
    """S3 while another write of the key is under way: refused with 409, and nothing to read."""

    def put_json_if(self, key: str, text: str, etag: str | None) -> str | None:
        return None


def test_concurrent_result_write_is_try_later(aws: Cloud, finish: Finish) -> None:
    assert finish(success, Contended(aws.s3, BUCKETS[1])) == []
    assert status(aws) is None
    assert sum(aws.counts()) == 1, "the message is not deleted"


class NameLost(Store):
    """S3 that fails between the result and the label under the file's name."""

    def put(self, key: str, *rest: Any, **more: Any) -> str:
        if "by-name" in key:
            raise TryLater("503")
        return super().put(key, *rest, **more)


def test_label_by_name_survives_a_crashed_writer(aws: Cloud, finish: Finish) -> None:
    assert finish(success, NameLost(aws.s3, BUCKETS[1])) == []
    assert (status(aws), aws.object("results/by-name/a")) == ("cat", None)
    assert aws.receive(f"{NAME}-requests"), "it was handed back"
    finish(lambda of: Done(of, success(of).result, duplicate=True))
    assert aws.object("results/by-name/a") == b"cat"


def test_undecodable_message_is_dead_lettered_with_its_reason(
    aws: Cloud, completion: Completion
) -> None:
    aws.send(f"{NAME}-requests", "no message")
    completion.dead_letter(received(completion), "not\x1bJSON" * 200)
    (dead,) = Queue(aws.sqs, f"{NAME}-requests-dead").inspect(1, 5)
    assert dead.message.body == "no message"
    assert dead.attributes["reason"].startswith("not JSONnot JSON")
    assert len(dead.attributes["reason"]) == 500
    assert aws.counts() == (0, 0)


def test_worker_survives_a_missing_dead_letter_queue(aws: Cloud, completion: Completion) -> None:
    aws.send(f"{NAME}-requests", "no message")
    nowhere = replace(completion, dead_letters="nowhere")
    nowhere.dead_letter(received(completion), "bad")
    assert sum(aws.counts()) == 1, "the message is not deleted"


def handed_back(completion: Completion, times: int, **what: object) -> int:
    """Hand one message back so often; returns the count of its next delivery."""
    for _ in range(times):
        delivery = received(completion)
        for name, value in what.items():
            setattr(delivery, name, value)
        assert completion.hand_back([delivery])
    return received(completion).message.receive_count


def test_message_that_is_only_handed_back_is_never_given_up(
    aws: Cloud, completion: Completion
) -> None:
    aws.send_request("j1", None)
    assert handed_back(completion, 2) == 3
    (held,) = completion.in_flight.held()
    completion.hand_back([held])
    assert aws.counts() == (1, 0), "the old one is deleted"
    assert handed_back(completion, 5) < 4
    assert aws.counts() == (0, 1)


@pytest.mark.parametrize("what", [{"tried": True}, {"holders": 2}])
def test_message_that_may_have_done_harm_keeps_its_count(
    aws: Cloud, completion: Completion, what: dict[str, object]
) -> None:
    aws.send_request("j1", None)
    assert handed_back(completion, 4, **what) == 5


def test_role_that_may_not_send_requests_hands_back(
    aws: Cloud, completion: Completion, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(_queue: str, _bodies: object) -> None:
        raise Denied("send to requests")

    monkeypatch.setattr(completion.outbox, "send_all", deny)
    aws.send_request("j1", None)
    assert handed_back(completion, 4) == 5
