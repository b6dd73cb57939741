"""Wires up one worker from its configuration."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from visionfleet.aws.clients import client_factory
from visionfleet.aws.imds import Metadata, endpoint
from visionfleet.aws.outbox import Outbox
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.classifier import decoding, drain_triggers
from visionfleet.classifier.capacity import (
    ANSWER_THREADS,
    FETCH,
    FETCH_THREADS,
    FINISH,
    MODEL,
    STORE,
    StageMeter,
    store_threads,
)
from visionfleet.classifier.classify import MODEL_LOOP, BatchClassifier, Model
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.decoding import Decoders
from visionfleet.classifier.drain_triggers import DrainTrigger, IdleShutdown
from visionfleet.classifier.fetch import Fetcher, Intake
from visionfleet.classifier.handover import Takeover
from visionfleet.classifier.in_flight import InFlight
from visionfleet.classifier.isolation import Isolation
from visionfleet.classifier.jobs import Job, ResultBuilder
from visionfleet.classifier.metrics import ClassifierMetrics
from visionfleet.classifier.pipeline import Pipeline, PipelineStage
from visionfleet.classifier.receive import RECEIVE_LOOP, Receiver
from visionfleet.classifier.retrier import Retrier
from visionfleet.classifier.spot import Interruptions
from visionfleet.classifier.store import ResultWriter
from visionfleet.classifier.suspects import SuspectClassifier
from visionfleet.classifier.uploads import UploadedImages
from visionfleet.classifier.visibility import VisibilityHeartbeat
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.contract import names
from visionfleet.contract.model_description import ModelDescription, ModelInput
from visionfleet.host import cpu_quota
from visionfleet.host.daemon_threads import crash
from visionfleet.host.process import age_seconds
from visionfleet.host.watchdog import Pace, Watchdog, classifier_status

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")

# One decoder per core, at most.
MOST_DECODERS = 4
SLOW_DECODERS = 3
# With more jobs than this in flight, batches gather for a moment before the model and before the
# replies: a pass or a call for ten costs hardly more CPU or money than for one.
CROWD = 8
GATHER_SECONDS = {MODEL: 0.015, FINISH: 0.025}
# The limit for one image in the child process with a model.
ALONE_SECONDS = 60.0


class WorkerClients:
    def __init__(self, config: Config) -> None:
        factory = client_factory(config.aws)
        self.clock = factory.clock
        storing = store_threads(config.classifier.prefetch)
        s3 = factory.client("s3", connections=FETCH_THREADS + storing + config.classifier.prefetch)
        self._sqs = factory.sqs(FETCH_THREADS + ANSWER_THREADS + 4)
        poll_seconds = config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS
        self._long_poll = factory.sqs(2, poll_seconds)
        uploads, results = config.storage.input_bucket, config.storage.output_bucket
        self.uploads = Store(s3, uploads, factory.direct_s3(s3, uploads, FETCH_THREADS))
        self.results = Store(s3, results, factory.direct_s3(s3, results, storing))
        self.outbox = Outbox(self._sqs)
        self._name = names.requests_queue(config.name)
        self._requests: Queue | None = None

    def requests(self) -> Queue:
        """The queue of requests, looked up once; raises NotFound and TryLater."""
        if self._requests is None:
            self._requests = Queue(self._sqs, self._name, self._long_poll)
        return self._requests


def intake(config: Config, worker: str, clients: WorkerClients, model: "Inference") -> Intake:
    decoder = (sys.executable, "-m", "visionfleet.classifier.decoding_child")
    slots = min(MOST_DECODERS, cpu_quota.granted())
    decoders = Isolation(
        decoder,
        "decoded",
        decoding.LIMIT_SECONDS,
        slots,
        decoding.SLOW_SECONDS,
        SLOW_DECODERS,
        retry_crashed=True,
        keep=slots,
    )
    decoders.start()
    return Intake(
        uploads=UploadedImages(clients.uploads),
        results=clients.results,
        images=config.images,
        decoders=Decoders(decoders, model.preprocessing),
        builder=ResultBuilder(worker, model.info, clients.clock, model.unknown_below),
        max_receives=config.queue.max_receives,
        now=clients.clock,
    )


def model_child(path: Path | None) -> Isolation:
    """Prepare a child process with a model; `path` is the configuration file."""
    named = ("--config", str(path)) if path else ()
    command = (sys.executable, "-m", "visionfleetd.classifier.isolated", *named)
    return Isolation(command, "classified", ALONE_SECONDS, keep=1)


def pipeline(
    config: Config,
    clients: WorkerClients,
    intake: Intake,
    model: Model,
    metrics: ClassifierMetrics,
    loops: Watchdog,
    in_flight: InFlight,
    takeover: Takeover,
    child: Isolation,
) -> Pipeline:
    prefetch, requests, random = config.classifier.prefetch, clients.requests(), Random()
    handing_back, queue = threading.Event(), config.queue
    dead, most, builder = names.dead_queue(config.name), queue.max_receives, intake.builder
    metrics.in_flight.set_function(lambda: in_flight.counts().in_flight)
    meters = metrics.capacity.measure(prefetch, config.classifier.batch_size)
    stage = partial(_stage, loops, meters, in_flight, handing_back)
    completion = Completion(requests, clients.outbox, dead, most, in_flight, metrics, random)
    answer = stage(FINISH, completion.answer)
    retrier = Retrier(completion, handing_back, random, loops, crash(log))
    writer = ResultWriter(clients.results, config.results.by_name, completion, answer.put, retrier)
    store = stage(STORE, writer.store)
    batches = BatchClassifier(model, builder, completion, store.put, handing_back, loops)
    classify = stage(MODEL, batches.classify)
    suspects = SuspectClassifier(
        child, takeover.suspects, most - 1, builder, classify.put, store.put, retrier
    )
    alone = PipelineStage("alone", suspects.classify, loops, StageMeter(1, prefetch))

    def decoded(job: Job) -> None:
        (alone if suspects.is_suspect(job) else classify).put(job)

    fetcher = Fetcher(intake, completion, decoded, store.put, retrier)
    fetch, now = stage(FETCH, fetcher.fetch), builder.now
    put, beats = fetch.put, _heartbeat(config, completion)
    receiver = Receiver(
        requests, queue, completion, put, handing_back, loops, random, takeover, now
    )
    stages = (fetch, alone, classify, store, answer)
    return Pipeline(receiver, stages, completion, beats, handing_back, crash(log))


def _stage(
    loops: Watchdog,
    meters: Mapping[str, StageMeter],
    in_flight: InFlight,
    handing_back: threading.Event,
    name: str,
    work: Callable[[list[Any]], None],
) -> PipelineStage[Any]:
    seconds = GATHER_SECONDS.get(name)

    def gather() -> None:
        if seconds and in_flight.unfinished() > CROWD:
            handing_back.wait(seconds)

    return PipelineStage(name, work, loops, meters[name], gather)


def _heartbeat(config: Config, completion: Completion) -> VisibilityHeartbeat:
    return VisibilityHeartbeat(
        completion.requests,
        completion.in_flight,
        config.queue.visibility_timeout_seconds,
        config.classifier.max_processing_seconds,
        time.monotonic,
        completion.metrics,
    )


def allowed_seconds(config: Config, watchdog_seconds: float) -> dict[str, float]:
    """The watchdog's limit for a step of each loop; beyond it the step has failed anyway."""
    poll = config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS
    receive = client_factory(config.aws).longest_call_seconds(poll)
    allowed = dict.fromkeys(_threads(config), config.classifier.max_processing_seconds)
    allowed[RECEIVE_LOOP] = receive
    return {loop: max(seconds, watchdog_seconds) for loop, seconds in allowed.items()}


def _threads(config: Config) -> list[str]:
    """The watched threads; the model's loop reports each pass itself."""
    storing = store_threads(config.classifier.prefetch)
    counts = {"fetch": FETCH_THREADS, "alone": 1, "store": storing, "finish": ANSWER_THREADS}
    threads = [f"{stage}-{number}" for stage, count in counts.items() for number in range(count)]
    return [MODEL_LOOP, *threads]


def status(pipeline: Pipeline, reporter: Reporter, model_name: str) -> Callable[[], str]:
    pace = Pace()

    def status() -> str:
        counts = pipeline.counts()
        rate = pace.per_second(counts.handled, time.monotonic())
        return classifier_status(reporter.state, counts.in_flight, counts.handled, rate, model_name)

    return status


def triggers(config: Config, reporter: Reporter, idle_shutdown: IdleShutdown) -> list[DrainTrigger]:
    every_seconds = config.classifier.drain_check_seconds
    worker, started_at = reporter.identity.worker, lambda: reporter.now() - age_seconds()
    asked = drain_triggers.scaler_request(reporter.store, worker, started_at, every_seconds)
    if not config.classifier.ec2_instance:
        return [asked]
    notices = Interruptions(Metadata(endpoint(os.environ), time.monotonic), time.monotonic)
    # EC2's notice first: S3 may be slow, and there are only two minutes.
    return [drain_triggers.interruption(notices, reporter), asked, idle_shutdown.trigger()]


def described(model: "Inference", worker: str, now: float) -> ModelDescription:
    how = model.preprocessing
    return ModelDescription(
        name=model.info.name,
        fingerprint=model.info.fingerprint,
        labels=model.labels,
        input=ModelInput(side=how.crop, shorter_side=how.resize, interpolation=how.interpolation),
        temperature=model.temperature,
        unknown_below=model.unknown_below,
        embedding=model.features,
        runtime=model.precision.runtime,
        precision=model.precision.precision,
        device=model.precision.device,
        worker=worker,
        told_at=now,
    )


def tell_metrics(config: Config, model: "Inference", reporter: Reporter) -> None:
    identity, metrics = reporter.identity, reporter.metrics
    worker = {"worker": identity.worker, "host": identity.host, "version": identity.version}
    metrics.worker.info(worker)
    threads = config.model.threads or cpu_quota.granted()
    metrics.model.info(
        {"name": model.info.name, "fingerprint": model.info.fingerprint}
        | {"runtime": model.precision.runtime, "precision": model.precision.precision}
        | {"threads": str(threads)}
    )
    metrics.boot_seconds.set(reporter.boot_seconds or 0.0)
