"""The place of a message: taken with its receipt, and freed once, however its delivery ends."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest

from visionfleet.aws.outbox import Outbox
from visionfleet.aws.sqs import Queue, Received
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.in_flight import Delivery, InFlight
from visionfleet.classifier.jobs import Job, ResultBuilder
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.contract.messages import ModelInfo, Request, Timings
from visionfleet.errors import TryLater


class Sqs:
    """A queue and an outbox that note the calls and how many were in flight at each of them."""

    def __init__(self, in_flight: InFlight, failing: bool) -> None:
        self.calls: list[tuple[str, int]] = []
        self._in_flight, self._failing = in_flight, failing

    def _call(self, name: str) -> dict[str, Any]:
        self.calls.append((name, self._in_flight.counts().in_flight))
        if self._failing:
            raise TryLater("throttled")
        return {}

    def extend(self, receipts: Any, seconds: int) -> dict[str, Any]:
        return self._call(f"visible in {seconds}" if not seconds else "visible later")

    def delete(self, receipts: Any) -> dict[str, Any]:
        return self._call("delete")

    def send(self, *message: Any) -> None:
        self._call("send")


def taken(in_flight: InFlight, *receipts: str) -> list[Delivery]:
    messages = [Received(f"id-{receipt}", "", receipt, 1) for receipt in receipts]
    return in_flight.begin(messages, now=0.0, expires_at=30.0)


def answer(completion: Completion, delivery: Delivery) -> None:
    job = Job(delivery, Request(job="j1", key="images/j1", sent_at=0.0, top=1), Timings())
    builder = ResultBuilder("w0", ModelInfo(name="m", fingerprint="f"), lambda: 0.0)
    completion.answer([builder.failed(job, "empty", "no bytes")])


ENDS: dict[str, tuple[Callable[[Completion, Delivery], object], list[str]]] = {
    "answered": (answer, ["delete"]),
    "tried again": (lambda by, one: by.retry(one, "S3 is away"), ["visible later"]),
    "handed back": (lambda by, one: by.hand_back([one]), ["visible in 0"]),
    "dead letter": (lambda by, one: by.dead_letter(one, "no JSON"), ["send", "delete"]),
}


@pytest.mark.parametrize("failing", [False, True], ids=["SQS answers", "SQS fails"])
@pytest.mark.parametrize("end", ENDS)
def test_each_end_frees_the_place_once_after_its_last_call(end: str, failing: bool) -> None:
    in_flight = InFlight(2)
    sqs = Sqs(in_flight, failing)
    queue, outbox = cast("Queue", sqs), cast("Outbox", sqs)
    completion = Completion(queue, outbox, "dead", 5, in_flight, ClassifierMetrics(), Random(0))
    one, other = taken(in_flight, "a", "b")
    act, calls = ENDS[end]
    act(completion, one)
    assert {count for _, count in sqs.calls} == {2}, "it keeps its place until SQS has answered"
    assert failing or [call for call, _ in sqs.calls] == calls
    assert (in_flight.counts().in_flight, in_flight.held()) == (1, [other])
    act(completion, one)
    assert in_flight.counts().in_flight == 1, "its neighbour's place is not freed with it"


def test_lost_delivery_keeps_its_place_until_it_is_dropped() -> None:
    in_flight = InFlight(2)
    lost, kept = taken(in_flight, "a", "b")
    lost.lost = True
    assert (in_flight.held(), in_flight.counts().in_flight) == ([kept], 2)
    assert not in_flight.holds_lease(lost)
    assert in_flight.holds_lease(kept)
    assert not in_flight.holds_lease(lost)
    assert in_flight.counts().in_flight == 1


def test_place_is_freed_when_the_end_fails() -> None:
    in_flight = InFlight(1)
    with pytest.raises(RuntimeError), in_flight.ending(taken(in_flight, "a")):
        raise RuntimeError
    assert in_flight.wait_for_room() == 1


def test_room_appears_when_a_delivery_ends() -> None:
    in_flight = InFlight(3)
    first, _second = taken(in_flight, "a", "b")
    assert in_flight.wait_for_room() == 1
    taken(in_flight, "c")
    room: list[int] = []
    waiting = threading.Thread(target=lambda: room.append(in_flight.wait_for_room()))
    waiting.start()
    waiting.join(0.1)
    assert room == []
    with in_flight.ending([first]):
        pass
    waiting.join(10)
    assert room == [1]


def test_close_ends_the_wait_for_room() -> None:
    in_flight = InFlight(1)
    taken(in_flight, "a")
    closing = threading.Timer(0.05, in_flight.close)
    closing.start()
    assert in_flight.wait_for_room() == 0
    closing.join()


def test_only_answered_deliveries_count_as_handled() -> None:
    in_flight = InFlight(3)
    answered, given_back, _left = taken(in_flight, "a", "b", "c")
    with in_flight.ending([answered], answered=True):
        pass
    with in_flight.ending([given_back]):
        pass
    counts = in_flight.counts()
    assert (counts.in_flight, counts.handled) == (1, 1)


def test_no_more_are_received_than_are_enough() -> None:
    enough = [2]
    in_flight = InFlight(8, enough=lambda: enough[0])
    assert in_flight.wait_for_room() == 2
    taken(in_flight, "a")
    assert in_flight.wait_for_room() == 1
    enough[0] = 20
    assert in_flight.wait_for_room() == 7, "and never more than the prefetch"
