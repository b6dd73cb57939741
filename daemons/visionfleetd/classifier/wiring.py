"""Puts the pipeline of one worker together from its configuration."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Outbox, Queue
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.intake import Intake
from visionfleet.classifier.isolation import Isolation
from visionfleet.classifier.jobs import ResultBuilder
from visionfleet.classifier.pipeline import FINISHERS, Limits, Pipeline
from visionfleet.classifier.stats import Events
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.contract import names
from visionfleet.host.watchdog import Watchdog
from visionfleetd.classifier.reload import image_limits

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

# They wait for S3 most of the time, and four decode at once at most: more would only wait longer.
FETCH_THREADS = 8
# A job's last try, in a process of its own: torch alone takes some ten seconds on a slow machine.
ISOLATED_SECONDS = 60.0


def limits_of(config: Config) -> Limits:
    """Read the sizes of the pipeline."""
    settings, wait = config.classifier, config.queue.wait_seconds
    return Limits(settings.batch_size, settings.prefetch, FETCH_THREADS, wait)


class Clients:
    """The AWS clients of one worker, and what is built on them."""

    def __init__(self, config: Config) -> None:
        door = client_factory(config.aws)
        limits = limits_of(config)
        s3 = door.client("s3", connections=limits.fetch_threads + limits.store_threads + 4)
        sqs = door.client("sqs", connections=limits.fetch_threads + FINISHERS + 4)
        parked = door.client(
            "sqs",
            connections=2,
            read_timeout_seconds=config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS,
        )
        uploads, results = config.storage.input_bucket, config.storage.output_bucket
        fetching = door.direct_s3(s3, uploads, limits.fetch_threads)
        storing = door.direct_s3(s3, results, limits.store_threads)
        self.uploads, self.results = Store(s3, uploads, fetching), Store(s3, results, storing)
        self.outbox = Outbox(sqs)
        self._sqs, self._parked = sqs, parked
        self._name = names.requests_queue(config.name)
        self._requests: Queue | None = None

    def requests(self) -> Queue:
        """Find the queue of requests, once; raises NotFound and TryLater."""
        if self._requests is None:
            self._requests = Queue(self._sqs, self._name, self._parked)
        return self._requests


@dataclass(frozen=True, slots=True)
class Worker:
    """What the parts of a pipeline are made of; `path` is the configuration's file."""

    name: str
    config: Config
    path: Path | None
    clients: Clients
    model: "Inference"
    events: Events
    loops: Watchdog
    random: Random

    def pipeline(self, crashed: Callable[[BaseException], None]) -> Pipeline:
        """Build the pipeline; `crashed` is told what ended one of its threads."""
        config, requests, keeper = self.config, self.clients.requests(), self._keeper()
        author = ResultBuilder(self.name, self.model.info, self.model.unknown_below)
        return Pipeline(
            requests=requests,
            dead=names.dead_queue(config.name),
            model=self.model,
            intake=self._intake(author),
            outcome=self._outcome(keeper),
            author=author,
            keeper=keeper,
            limits=limits_of(config),
            random=self.random,
            crashed=crashed,
            events=self.events,
            loops=self.loops,
        )

    def _keeper(self) -> VisibilityHeartbeat:
        return VisibilityHeartbeat(
            self.clients.requests(),
            self.config.queue.visibility_timeout_seconds,
            self.config.classifier.max_processing_seconds,
            time.monotonic,
            self.events,
        )

    def _outcome(self, keeper: VisibilityHeartbeat) -> Completion:
        return Completion(
            requests=self.clients.requests(),
            outbox=self.clients.outbox,
            results=self.clients.results,
            keeper=keeper,
            by_name=self.config.results.by_name,
            random=self.random,
            now=time.time,
            events=self.events,
        )

    def _intake(self, author: ResultBuilder) -> Intake:
        return Intake(
            uploads=self.clients.uploads,
            results=self.clients.results,
            limits=image_limits(self.config.images),
            preprocessing=self.model.preprocessing,
            author=author,
            isolation=self._isolation(),
            max_receives=self.config.queue.max_receives,
            now=time.time,
            clock=time.monotonic,
        )

    def _isolation(self) -> Isolation:
        named = ("--config", str(self.path)) if self.path else ()
        command = (sys.executable, "-m", "visionfleetd.classifier.isolated", *named)
        return Isolation(command, ISOLATED_SECONDS)
