"""A pipeline with SQS, S3 and a model that do as a test wants: its bounds, its ends, its loops."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from testkit.processes.waiting import wait_until
from visionfleet.aws.sqs import Received
from visionfleet.classifier.classify import MODEL_LOOP
from visionfleet.classifier.fetch import Intake
from visionfleet.classifier.in_flight import Delivery
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.classifier.receive import RECEIVE_LOOP
from visionfleet.config import Config
from visionfleet.config.classifier import ClassifierSection
from visionfleet.config.schema import QueueSection
from visionfleet.contract.messages import ModelInfo, Ranked, Request, Timings
from visionfleet.errors import BadMessage, TryLater
from visionfleet.host.watchdog import Watchdog
from visionfleetd.classifier import wiring

ALLOWED_SECONDS = 0.3
RANKING = (Ranked(index=0, label="cat", score=0.9),)


class Sqs:
    """A queue of what is put `there`; parks who asks while it is empty, and notes the rest."""

    def __init__(self) -> None:
        self.there: list[Received] = []
        self.parks_seconds = 0.05
        self.receives = 0
        self.given_back: list[tuple[str, int]] = []
        self.deleted: list[str] = []
        self.buried: list[str] = []
        self.delete_sizes: list[int] = []

    def add(self, *names: str) -> None:
        self.there += [Received(f"id-{name}", name, name, 1) for name in names]

    def receive(self, _wait_seconds: int, most: int) -> list[Received]:
        self.receives += 1
        if not self.there:
            time.sleep(self.parks_seconds)
        some, self.there = self.there[:most], self.there[most:]
        return some

    def extend(self, receipts: Sequence[str], seconds: int) -> dict[str, Exception]:
        self.given_back += [(receipt, seconds) for receipt in receipts]
        return {}

    def delete(self, receipts: Sequence[str]) -> dict[str, Exception]:
        self.delete_sizes.append(len(receipts))
        self.deleted += receipts
        return {}

    def send(self, _queue: str, body: str, _attributes: object) -> None:
        self.buried.append(body)


class FakeIntake:
    """A message's body is its job; "rubbish" is none. S3 does not answer while it is `away`."""

    def __init__(self) -> None:
        self.builder = ResultBuilder("w0", ModelInfo(name="m", fingerprint="f"))
        self.away = threading.Event()
        self.tries = 0

    def open(self, delivery: Delivery) -> Job:
        if delivery.message.body == "rubbish":
            raise BadMessage("no JSON", "rubbish")
        delivery.job = delivery.message.body
        return Job(delivery, Request(job=delivery.job, key="k", sent_at=0.0, top=1), Timings())

    def take(self, job: Job) -> Job | Done:
        self.tries += 1
        if self.away.is_set():
            raise TryLater("S3 is away")
        if job.request.job.startswith("odd"):
            return self.builder.failed(job, "cannot_be_decoded", "truncated", 0.0)
        return replace(job, pixels=cast("Any", job.request.job))


class Model:
    """A forward pass that ends when `go` is set, and fails when a job of the batch is `bad`."""

    def __init__(self) -> None:
        self.go, self.entered = threading.Event(), threading.Event()
        self.batches: list[list[str]] = []

    def rank(self, batch: Sequence[Any], top: int) -> list[tuple[Ranked, ...]]:
        self.batches.append(list(batch))
        self.entered.set()
        self.go.wait()
        if "bad" in batch:
            raise RuntimeError("that was no image")
        if "crash" in batch:
            raise ZeroDivisionError
        return [RANKING for _ in batch]


class Results:
    """S3 that takes results, or hangs while it is not `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = 0
        self.keys: list[str] = []

    def put_json_if(self, key: str, _text: str, _etag: str | None) -> str:
        self.entered += 1
        self.open.wait()
        self.keys.append(key)
        return "etag"


class World:
    """A pipeline and what it is given."""

    def __init__(self, prefetch: int, batch_size: int) -> None:
        self.sqs, self.intake, self.model, self.results = Sqs(), FakeIntake(), Model(), Results()
        allowed = {RECEIVE_LOOP: ALLOWED_SECONDS, MODEL_LOOP: ALLOWED_SECONDS}
        self.loops = Watchdog(time.monotonic, allowed)
        self.metrics = ClassifierMetrics()
        config = Config.model_validate(
            {
                "classifier": ClassifierSection(prefetch=prefetch, batch_size=batch_size),
                "queue": QueueSection(wait_seconds=0, visibility_timeout_seconds=600),
            }
        )
        self.requests = lambda: self.sqs
        self.outbox = self.sqs
        clients, intake = cast("wiring.WorkerClients", self), cast("Intake", self.intake)
        self.pipeline: Pipeline = wiring.pipeline(
            config, clients, intake, self.model.rank, self.metrics, self.loops
        )

    def in_flight(self) -> int:
        return self.pipeline.counts().in_flight

    def stays_well(self) -> bool:
        """Look for as long as several steps may take."""
        end = time.monotonic() + 3 * ALLOWED_SECONDS
        while time.monotonic() < end:
            if self.loops.stuck():
                return False
            time.sleep(0.02)
        return True

    def stop(self, seconds: float = 10) -> bool:
        return self.pipeline.finish(hurry=True, deadline=time.monotonic() + seconds)


def started(prefetch: int, batch_size: int) -> Iterator[World]:
    made = World(prefetch, batch_size)
    made.pipeline.start()
    yield made
    made.model.go.set()
    made.results.open.set()
    made.sqs.parks_seconds = 0.0
    made.stop()


@pytest.fixture
def world() -> Iterator[World]:
    """It holds one message at the most."""
    yield from started(prefetch=1, batch_size=1)


@pytest.fixture
def wide() -> Iterator[World]:
    """It holds eight, and classifies four at a time."""
    yield from started(prefetch=8, batch_size=4)


def test_idle_worker_is_healthy(world: World) -> None:
    assert world.stays_well()
    assert world.sqs.receives > 3


def test_hung_receive_is_detected(world: World) -> None:
    world.sqs.parks_seconds = 2.0
    wait_until(lambda: "receive loop" in str(world.loops.stuck()), 10)


def test_worker_that_waits_for_s3_is_healthy(world: World) -> None:
    world.intake.away.set()
    world.sqs.add("one")
    wait_until(lambda: world.intake.tries > 0, 10)
    assert world.stays_well()
    assert world.in_flight() == 1


def test_hung_forward_pass_is_detected_and_a_failed_one_is_over(world: World) -> None:
    world.sqs.add("bad")
    assert world.model.entered.wait(10)
    wait_until(lambda: "model" in str(world.loops.stuck()), 10)
    world.model.go.set()
    wait_until(lambda: world.in_flight() == 0, 10)
    assert world.loops.stuck() == []


def test_in_flight_is_bounded_by_prefetch_in_every_stage(wide: World) -> None:
    wide.sqs.add(*(f"job{i}" for i in range(20)))
    wait_until(lambda: wide.in_flight() == 8, 10)
    time.sleep(0.3)
    assert (wide.in_flight(), len(wide.sqs.there)) == (8, 12)
    assert wide.metrics.registry.get_sample_value("visionfleet_jobs_in_flight") == 8
    wide.model.go.set()
    wait_until(lambda: len(wide.sqs.deleted) == 20, 10)
    wait_until(lambda: wide.in_flight() == 0, 10)


def test_bad_image_does_not_harm_its_batch(wide: World) -> None:
    wide.intake.away.set()
    wide.sqs.add("job0", "bad", "job1", "rubbish", "odd")
    wait_until(lambda: wide.in_flight() == 4, 10)
    wide.intake.away.clear()
    wide.model.go.set()
    wait_until(lambda: wide.in_flight() == 0, 20)
    assert sorted(wide.sqs.deleted) == ["job0", "job1", "odd", "rubbish"]
    assert [receipt for receipt, _ in wide.sqs.given_back] == ["bad"]
    assert wide.sqs.buried == ["rubbish"]


def test_lost_delivery_reaches_neither_model_nor_s3(wide: World) -> None:
    wide.sqs.add("first")
    assert wide.model.entered.wait(10)
    wide.sqs.add("second", "third")
    wait_until(lambda: wide.in_flight() == 3, 10)
    first, second = (
        next(held for held in wide.pipeline.completion.in_flight.held() if held.job == name)
        for name in ("first", "second")
    )
    first.lost = second.lost = True
    wide.model.go.set()
    wait_until(lambda: wide.in_flight() == 0, 10)
    assert (wide.model.batches, wide.sqs.deleted) == ([["first"], ["third"]], ["third"])
    assert wide.results.keys == ["results/third.json"]


def test_half_of_the_prefetch_is_stored_at_a_time(wide: World) -> None:
    wide.results.open.clear()
    wide.sqs.add(*(f"odd{i}" for i in range(8)))
    wait_until(lambda: wide.results.entered == 4, 10)
    time.sleep(0.2)
    assert wide.results.entered == 4
    wide.results.open.set()
    wait_until(lambda: len(wide.sqs.deleted) == 8, 10)


def test_stop_finishes_the_forward_pass_and_hands_back_the_rest(wide: World) -> None:
    wide.sqs.add("first")
    assert wide.model.entered.wait(10)
    wide.sqs.add(*(f"job{i}" for i in range(6)))
    wait_until(lambda: wide.in_flight() == 7, 10)
    stopping = threading.Thread(target=wide.stop)
    stopping.start()
    time.sleep(0.2)
    wide.model.go.set()
    stopping.join(10)
    assert (wide.sqs.deleted, wide.results.keys) == (["first"], ["results/first.json"])
    assert sorted(wide.sqs.given_back) == [(f"job{i}", 0) for i in range(6)]
    assert wide.in_flight() == 0


def test_stop_out_of_time_hands_back_what_hangs(wide: World) -> None:
    wide.sqs.add("hangs")
    assert wide.model.entered.wait(10)
    began = time.monotonic()
    assert wide.stop(seconds=0.3)
    assert time.monotonic() - began < 5
    assert wide.sqs.given_back == [("hangs", 0)]


def test_late_receive_is_handed_back(wide: World) -> None:
    wide.sqs.parks_seconds = 3.0
    wait_until(lambda: wide.loops.stuck() != [], 10)
    wide.stop(seconds=0.3)
    assert wide.pipeline.receiver.alive(), "it is abandoned"
    wide.sqs.add("late")
    wait_until(lambda: not wide.pipeline.working(), 10)
    assert wide.sqs.given_back == [("late", 0)]


def test_drain_works_off_what_is_in_flight(wide: World) -> None:
    wide.sqs.add("job0", "job1")
    assert wide.model.entered.wait(10)
    wait_until(lambda: wide.in_flight() == 2, 10)
    wide.pipeline.receiver.close()
    wait_until(lambda: not wide.pipeline.receiver.alive(), 10)
    wide.sqs.add("late")
    assert wide.pipeline.working()
    wide.model.go.set()
    wait_until(lambda: not wide.pipeline.working(), 10)
    assert sorted(wide.sqs.deleted) == ["job0", "job1"]
    assert wide.sqs.given_back == []


def test_unexpected_error_in_a_stage_ends_the_process(
    wide: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes: list[BaseException] = []
    monkeypatch.setattr("os._exit", lambda status: crashes.append(SystemExit(status)))
    wide.model.go.set()
    wide.sqs.add("crash")
    wait_until(lambda: len(crashes) > 0, 10)
    assert crashes[0].args == (70,)


def test_jobs_are_answered_in_batches_of_ten() -> None:
    made = World(prefetch=32, batch_size=8)
    made.results.open.clear()
    made.sqs.add(*(f"odd{i}" for i in range(32)))
    made.model.go.set()
    made.pipeline.start()
    wait_until(lambda: made.results.entered == 16, 10)
    made.results.open.set()
    wait_until(lambda: len(made.sqs.deleted) == 32, 10)
    assert max(made.sqs.delete_sizes) <= 10
    assert made.pipeline.finish(hurry=False, deadline=time.monotonic() + 10)
