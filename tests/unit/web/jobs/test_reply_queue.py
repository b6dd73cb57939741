"""How the poller saves calls: replies are deleted in batches while many wait."""

import json
import threading
import time
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import cast

import pytest

from testkit.classifier.stand_in import succeeded
from testkit.processes.waiting import wait_until
from visionfleet.aws.sqs import Received
from visionfleet.contract.messages import Reply, decode_result, encode
from visionfleet.host.watchdog import Watchdog
from visionfleet.web.jobs.reply_queue import CROWD, ReplyPoller, ReplyQueue
from visionfleet.web.load.readiness import Readiness


class FakeQueue:
    """Hands out up to ten at a time, and again what is not deleted when it is made anew."""

    def __init__(self) -> None:
        self.coming: list[Received] = []
        self.deletes: list[list[str]] = []
        self._came = threading.Event()

    def come(self, *jobs: str) -> None:
        self.coming += [Received(job, reply(job), job, 1) for job in jobs]
        self._came.set()

    def receive(self, wait_seconds: int) -> list[Received]:
        self._came.wait(0.05)
        some, self.coming = self.coming[:10], self.coming[10:]
        if not self.coming:
            self._came.clear()
        return some

    def delete(self, received: list[Received]) -> None:
        self.deletes.append([message.receipt for message in received])

    def beat(self) -> None:
        pass


def reply(job: str) -> str:
    request = {"job": job, "file_name": "", "top": 1}
    result = decode_result(json.dumps(succeeded(request, "cat")))
    return encode(Reply(job=job, result=result))


@contextmanager
def polled(queue: FakeQueue, awaited: Sized) -> Iterator[list[str]]:
    delivered: list[str] = []

    def crash(error: BaseException) -> None:
        raise error

    poller = ReplyPoller(
        cast(ReplyQueue, queue),
        1,
        lambda one: delivered.append(one.job),
        awaited,
        Readiness(35, time.monotonic),
        Watchdog(time.monotonic),
        crash,
        Random(0),
    )
    poller.start()
    yield delivered
    poller.stop(5)


def test_replies_are_deleted_at_once_with_few_waiting() -> None:
    queue = FakeQueue()
    with polled(queue, range(CROWD)) as delivered:
        queue.come("a")
        wait_until(lambda: queue.deletes == [["a"]], 30, "deleted")
        queue.come("b")
        wait_until(lambda: queue.deletes == [["a"], ["b"]], 30, "deleted")
    assert delivered == ["a", "b"]


def test_replies_are_deleted_in_batches_with_many_waiting() -> None:
    queue, awaited = FakeQueue(), list(range(CROWD + 1))
    jobs = [f"{number:02}" for number in range(13)]
    with polled(queue, awaited) as delivered:
        for start in range(0, 12, 4):
            queue.come(*jobs[start : start + 4])
            wait_until(partial(delivered.__contains__, jobs[start + 3]), 30, "delivered")
        wait_until(lambda: queue.deletes == [jobs[:12]], 30, "one delete for all of them")
        queue.come(jobs[12])
        wait_until(lambda: len(delivered) == 13, 30, "delivered")
        assert len(queue.deletes) == 1
        awaited.clear()
        wait_until(lambda: queue.deletes[1:] == [jobs[12:]], 30, "deleted when nobody waits")
    assert delivered == jobs


@pytest.mark.parametrize("count", [1, 25])
def test_replies_are_delivered_once(count: int) -> None:
    queue, jobs = FakeQueue(), [str(number) for number in range(count)]
    with polled(queue, range(100)) as delivered:
        queue.come(*jobs)
        wait_until(lambda: len(delivered) == count, 30, "delivered")
    assert delivered == jobs
