"""A pipeline with SQS, S3 and a model that do as a test wants."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from visionfleet.aws.sqs import Received
from visionfleet.classifier.fetch import Intake
from visionfleet.classifier.handover import Takeover
from visionfleet.classifier.in_flight import Delivery, InFlight
from visionfleet.classifier.isolation import Isolation
from visionfleet.classifier.jobs import Done, Job, ResultBuilder
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.config import Config
from visionfleet.config.classifier import ClassifierSection
from visionfleet.config.schema import QueueSection
from visionfleet.contract.messages import ModelInfo, Ranked, Request, Timings
from visionfleet.contract.vectors import encode_vector
from visionfleet.errors import BadImage, BadMessage, TryLater
from visionfleet.host.watchdog import Watchdog
from visionfleetd.classifier import wiring

ALLOWED_SECONDS = 0.6  # a loop that has nothing to wait for is late on a busy machine
RANKING = (Ranked(index=0, label="cat", score=0.9),)


class Sqs:
    """A queue of what is put `there`; parks who asks while it is empty, and notes the rest.

    Whoever is parked goes on when `awake` is set.
    """

    def __init__(self) -> None:
        self.there: list[Received] = []
        self.parks_seconds = 0.05
        self.awake = threading.Event()
        self.receives = 0
        self.given_back: list[tuple[str, int]] = []
        self.deleted: list[str] = []
        self.buried: list[str] = []
        self.delete_sizes: list[int] = []

    def add(self, *names: str) -> None:
        self.there += [Received(f"id-{name}", name, name, 1) for name in names]

    def receive(self, _wait_seconds: int, most: int, _hold_seconds: int) -> list[Received]:
        self.receives += 1
        if not self.there:
            self.awake.wait(self.parks_seconds)
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
    """A message's body is its job; "rubbish" is none. S3 does not answer while it is `away`, and
    never for the `refused`; for a `silent` one the call hangs until `spoken`.
    """

    def __init__(self) -> None:
        self.builder = ResultBuilder("w0", ModelInfo(name="m", fingerprint="f"), lambda: 0.0)
        self.away = threading.Event()
        self.refused: set[str] = set()
        self.silent, self.spoken = set[str](), threading.Event()
        self.slowly = 0.0  # seconds between two
        self.tries = 0
        self._turn = threading.Lock()

    def open(self, delivery: Delivery) -> Job:
        if delivery.message.body == "rubbish":
            raise BadMessage("no JSON", "rubbish")
        delivery.job = delivery.message.body
        return Job(delivery, Request(job=delivery.job, key="k", sent_at=0.0, top=1), Timings())

    def take(self, job: Job) -> Job | Done:
        self.tries += 1
        if job.request.job in self.silent:
            self.spoken.wait()
        if self.away.is_set() or job.request.job in self.refused:
            raise TryLater("S3 is away")
        with self._turn:
            time.sleep(self.slowly)
        if job.request.job.startswith("odd"):
            return self.builder.failed(job, "cannot_be_decoded", "truncated")
        return replace(job, pixels=cast("Any", Name(job.request.job)))


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

    def rank_and_embed(
        self, batch: Sequence[Any], top: int
    ) -> list[tuple[tuple[Ranked, ...], str | None]]:
        return [(ranking, encode_vector([1.0, 2.0])) for ranking in self.rank(batch, top)]


class ModelChild:
    """A child process with a model, that an image called `killer` ends."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0

    def ask(self, _question: object, payload: bytes) -> tuple[dict[str, str], bytes]:
        self.asked.append(payload.decode())
        if self.asked[-1].startswith("killer"):
            raise BadImage("crashed", "signal 11")
        if self.asked[-1].startswith("bad"):
            return {"failed": "that was no image"}, b""
        answer = {"ranking": [ranked.model_dump() for ranked in RANKING], "vector": None}
        return {}, json.dumps(answer).encode()

    def close(self) -> None:
        self.closed += 1


class Name(str):
    """Stands for the pixels of the image of that name."""

    __slots__ = ()

    def tobytes(self) -> bytes:
        return self.encode()


class Results:
    """S3 that takes results, or hangs while it is not `open`."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = 0
        self.slowly = 0.0  # seconds between two
        self.keys: list[str] = []
        self._turn = threading.Lock()

    def put_json_if(self, key: str, _text: str, _etag: str | None) -> str:
        self.entered += 1
        with self._turn:
            time.sleep(self.slowly)
        self.open.wait()
        self.keys.append(key)
        return "etag"


class World:
    """A pipeline and what it is given."""

    def __init__(
        self, prefetch: int, batch_size: int, holds_enough: bool = False, enough: int | None = None
    ) -> None:
        self.sqs, self.intake, self.model, self.results = Sqs(), FakeIntake(), Model(), Results()
        self.child, self.suspects = ModelChild(), dict[str, str]()
        self.metrics = ClassifierMetrics()
        config = Config.model_validate(
            {
                "classifier": ClassifierSection(prefetch=prefetch, batch_size=batch_size),
                "queue": QueueSection(wait_seconds=0, visibility_timeout_seconds=600),
            }
        )
        loops = wiring.allowed_seconds(config, watchdog_seconds=0.0)
        self.loops = Watchdog(time.monotonic, dict.fromkeys(loops, ALLOWED_SECONDS))
        self.requests = lambda: self.sqs
        self.outbox = self.sqs
        learned = self.metrics.capacity.target_in_flight if holds_enough else None
        clients, intake = cast("wiring.WorkerClients", self), cast("Intake", self.intake)
        self.pipeline: Pipeline = wiring.pipeline(
            config,
            clients,
            intake,
            self.model,
            self.metrics,
            self.loops,
            InFlight(prefetch, enough=learned if enough is None else lambda: enough),
            Takeover(suspects=self.suspects),
            cast("Isolation", self.child),
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
        return self.pipeline.finish(hand_back=True, deadline=time.monotonic() + seconds)


def started(prefetch: int, batch_size: int, enough: int | None = None) -> Iterator[World]:
    made = World(prefetch, batch_size, enough=enough)
    made.pipeline.start()
    yield made
    made.model.go.set()
    made.results.open.set()
    made.sqs.awake.set()
    made.stop()
