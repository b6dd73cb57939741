"""Messages of many threads, sent in batches."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from testkit.processes.waiting import wait_until
from visionfleet.errors import GiveUp, TryLater, VisionfleetError
from visionfleet.web.jobs.batch_sender import BatchSender


class Slow:
    """A queue whose first call lasts until it is let go; some bodies fail, or whole calls."""

    def __init__(self, failing: Mapping[str, VisionfleetError] | None = None) -> None:
        self.calls: list[list[str]] = []
        self.gate = threading.Event()
        self.broken: Exception | None = None
        self._failing = failing or {}

    def send_all(self, bodies: Sequence[str]) -> Mapping[str, VisionfleetError]:
        self.calls.append(list(bodies))
        assert self.gate.wait(60)
        if self.broken is not None:
            raise self.broken
        return {body: error for body, error in self._failing.items() if body in bodies}


def test_single_message_is_sent_at_once() -> None:
    slow = Slow()
    slow.gate.set()
    sender = BatchSender(slow.send_all)
    for body in ("a", "b"):
        sender.send(body)
    assert slow.calls == [["a"], ["b"]]


def test_waiting_messages_share_batches_of_ten() -> None:
    slow, bodies = Slow(), [str(number) for number in range(25)]
    sender = BatchSender(slow.send_all)
    with ThreadPoolExecutor(25) as threads:
        sent = [threads.submit(sender.send, body) for body in bodies]
        wait_until(lambda: len(sender._waiting) == 24, 10, "all but the first wait")
        slow.gate.set()
        for one in sent:
            one.result(60)
    assert [len(call) for call in slow.calls] == [1, 10, 10, 4]
    assert sorted(body for call in slow.calls for body in call) == sorted(bodies)


def test_failed_batch_entry_fails_its_sender_only() -> None:
    slow = Slow({"bad": GiveUp("send: refused")})
    sender = BatchSender(slow.send_all)
    with ThreadPoolExecutor(3) as threads:
        sent = {body: threads.submit(sender.send, body) for body in ("first", "bad", "good")}
        wait_until(lambda: len(sender._waiting) == 2, 10, "two wait")
        slow.gate.set()
        with pytest.raises(GiveUp):
            sent["bad"].result(60)
        assert (sent["first"].result(60), sent["good"].result(60)) == (None, None)


def test_failed_batch_fails_its_senders_and_no_later_ones() -> None:
    slow = Slow()
    slow.broken = TryLater("send: no answer")
    sender = BatchSender(slow.send_all)
    with ThreadPoolExecutor(15) as threads:
        sent = [threads.submit(sender.send, str(number)) for number in range(15)]
        wait_until(lambda: len(sender._waiting) == 14, 10, "all but the first wait")
        slow.gate.set()
        for one in sent:
            with pytest.raises(TryLater):
                one.result(60)
    assert len(slow.calls) == 1
    slow.broken = None
    sender.send("later")
    assert slow.calls[-1] == ["later"]


def test_refused_message_does_not_fail_its_neighbours() -> None:
    """SQS may refuse the whole call for one message in it."""
    calls: list[list[str]] = []
    begun, gate = threading.Event(), threading.Event()

    def send_all(bodies: Sequence[str]) -> Mapping[str, VisionfleetError]:
        begun.set()
        assert gate.wait(60)
        calls.append(list(bodies))
        if "bad" in bodies:
            raise GiveUp("send: InvalidMessageContents")
        return {}

    sender, bodies = BatchSender(send_all), ["first", *"abcd", "bad", *"efgh"]
    with ThreadPoolExecutor(len(bodies)) as threads:
        sent = {"first": threads.submit(sender.send, "first")}
        assert begun.wait(60)
        sent |= {body: threads.submit(sender.send, body) for body in bodies[1:]}
        wait_until(lambda: len(sender._waiting) == 9, 10, "all but the first wait")
        gate.set()
        refused = [body for body, one in sent.items() if one.exception(60) is not None]
    assert refused == ["bad"]
    assert sorted(one for (one,) in calls[2:]) == sorted(bodies[1:]), "each by itself, once"
