"""Which threads of a pipeline the watchdog sees hang, and which it knows to be waiting."""

import threading
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, NoReturn, cast

import pytest

from testkit.processes.waiting import wait_until
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Outbox, Queue, Received
from visionfleet.classifier.completion import Completion, Stored
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.classifier.pipeline import MODEL_LOOP, RECEIVE_LOOP, Limits, Pipeline
from visionfleet.classifier.visibility import Delivery, VisibilityHeartbeat
from visionfleet.contract.messages import ModelInfo, Ranked, Request, Timings
from visionfleet.errors import TryLater
from visionfleet.host.watchdog import Watchdog

ALLOWED_SECONDS = 0.3


class Requests:
    """A queue that has one message when `there` is set, and parks who asks while it is not."""

    def __init__(self) -> None:
        self.there, self.over = threading.Event(), threading.Event()
        self.parks_seconds = 0.05
        self.receives = 0

    def receive(self, _wait_seconds: int, _most: int) -> list[Received]:
        self.receives += 1
        if not self.there.wait(self.parks_seconds):
            return []
        self.there.clear()
        return [Received("m1", "{}", "r1", 1)]

    def extend(self, _receipts: Sequence[str], _seconds: int) -> dict[str, Exception]:
        return {}

    delete = extend


class Intake:
    """S3 does not answer while `away` is set."""

    def __init__(self) -> None:
        self.away = threading.Event()
        self.tries = 0

    def open(self, lease: Delivery) -> Job:
        request = Request(job="j1", key="images/j1", sent_at=0.0, top=1)
        return Job(lease, request, Timings())

    def take(self, job: Job) -> Job:
        self.tries += 1
        if self.away.is_set():
            raise TryLater("S3 is away")
        return job


class Model:
    """A forward pass that ends when `go` is set."""

    def __init__(self) -> None:
        self.go, self.entered = threading.Event(), threading.Event()

    def rank(self, batch: Sequence[Any], top: int) -> list[tuple[Ranked, ...]]:
        self.entered.set()
        self.go.wait()
        raise RuntimeError("that was no image")


class World:
    """A pipeline that holds one message at the most, and what it is given."""

    def __init__(self) -> None:
        self.requests, self.intake, self.model = Requests(), Intake(), Model()
        allowed = {RECEIVE_LOOP: ALLOWED_SECONDS, MODEL_LOOP: ALLOWED_SECONDS}
        self.loops = Watchdog(time.monotonic, allowed)
        queue, outbox, store = cast("Queue", self.requests), cast("Outbox", None), cast("Store", 0)
        keeper = VisibilityHeartbeat(queue, 60, 600, time.monotonic)
        outcome = Completion(queue, outbox, store, keeper, False, Random(0), time.time)
        author = ResultBuilder("w0", ModelInfo(name="m", fingerprint="f"))
        limits = Limits(batch_size=1, prefetch=1, fetch_threads=1, wait_seconds=0)
        self.pipeline = Pipeline(
            *(queue, "dead", self.model, cast("Any", self.intake), outcome, author, keeper),
            *(limits, Random(0), crashed),
            loops=self.loops,
        )

    def stays_well(self) -> bool:
        """Look for as long as several steps may take."""
        end = time.monotonic() + 3 * ALLOWED_SECONDS
        while time.monotonic() < end:
            if self.loops.stuck():
                return False
            self.requests.over.wait(0.02)
        return True


def crashed(error: BaseException) -> NoReturn:
    raise error


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.pipeline.start()
    yield made
    made.model.go.set()
    made.requests.parks_seconds = 0.0
    made.pipeline.finish(hurry=True, deadline=time.monotonic() + 10)


def test_idle_worker_is_healthy(world: World) -> None:
    assert world.stays_well()
    assert world.requests.receives > 3


def test_hung_receive_is_detected(world: World) -> None:
    world.requests.parks_seconds = 2.0
    wait_until(lambda: "receive loop" in str(world.loops.stuck()), 10)


def test_worker_that_waits_for_s3_is_healthy(world: World) -> None:
    world.intake.away.set()
    world.requests.there.set()
    wait_until(lambda: world.intake.tries > 0, 10)
    assert world.stays_well()
    assert world.pipeline.tally().in_flight == 1


def test_hung_forward_pass_is_detected_and_a_failed_one_is_over(world: World) -> None:
    world.requests.there.set()
    assert world.model.entered.wait(10)
    wait_until(lambda: "model" in str(world.loops.stuck()), 10)
    world.model.go.set()
    wait_until(lambda: world.pipeline.tally().in_flight == 0, 10)
    assert world.loops.stuck() == []


class Together:
    """Stores nothing until `most` are being stored at one time."""

    def __init__(self, most: int) -> None:
        self.barrier = threading.Barrier(most)
        self.answered: list[Stored] = []

    def store(self, done: Done) -> Stored:
        self.barrier.wait(10)
        return Stored(done, 0.0)

    def answer(self, stored: Sequence[Stored]) -> None:
        self.answered += stored


def test_half_of_the_prefetch_is_stored_at_a_time(world: World) -> None:
    limits = Limits(batch_size=1, prefetch=8, fetch_threads=1, wait_seconds=0)
    together, author = Together(4), ResultBuilder("w0", ModelInfo(name="m", fingerprint="f"))
    keeper = VisibilityHeartbeat(cast("Queue", world.requests), 60, 600, time.monotonic)
    pipeline = Pipeline(
        *(cast("Queue", world.requests), "dead", world.model, cast("Any", world.intake)),
        *(cast("Any", together), author, keeper, limits, Random(0), crashed),
    )
    for number in range(4):
        lease = keeper.hold(Received(f"m{number}", "{}", f"r{number}", 1), 0.0)
        job = world.intake.open(lease)
        pipeline._done.put(author.failed(job, "cannot_be_decoded", "truncated", 0.0))
    pipeline.start()
    try:
        wait_until(lambda: len(together.answered) == 4, 15)
    finally:
        together.barrier.abort()
        pipeline.finish(hurry=False, deadline=time.monotonic() + 5)
