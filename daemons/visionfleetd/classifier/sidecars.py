"""What stands beside a worker's pipeline: its drain triggers, metrics, status and watchdog."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING

from visionfleet.aws.from_config import access
from visionfleet.aws.imds import Metadata, endpoint
from visionfleet.classifier.classify import MODEL_LOOP
from visionfleet.classifier.drain_triggers import (
    DrainTrigger,
    IdleShutdown,
    interruption,
    scaler_request,
)
from visionfleet.classifier.metrics import ClassifierMetrics, port_of
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.classifier.receive import RECEIVE_LOOP
from visionfleet.classifier.spot import Interruptions
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.host import cpu_quota
from visionfleet.host.metrics_server import serve
from visionfleet.host.watchdog import Pace, classifier_status

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")


def allowed_seconds(config: Config, watchdog_seconds: float) -> dict[str, float]:
    """Tell how long a step of each watched loop may take, by the settings.

    A batch whose messages are given up already is of no use, however long it goes on.
    """
    poll = config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS
    receive = access(config.aws).longest_call_seconds(poll)
    allowed = {RECEIVE_LOOP: receive, MODEL_LOOP: config.classifier.max_processing_seconds}
    return {loop: max(seconds, watchdog_seconds) for loop, seconds in allowed.items()}


def status(pipeline: Pipeline, reporter: Reporter, model_name: str) -> Callable[[], str]:
    pace = Pace()

    def status() -> str:
        counts = pipeline.counts()
        rate = pace.per_second(counts.handled, time.monotonic())
        return classifier_status(
            reporter.state, counts.in_flight, counts.handled, rate, model_name
        )

    return status


def drain_triggers(
    config: Config, reporter: Reporter, idle_shutdown: IdleShutdown
) -> list[DrainTrigger]:
    every_seconds = config.classifier.drain_check_seconds
    asked = scaler_request(reporter.store, reporter.identity, every_seconds)
    if not config.classifier.ec2_instance:
        return [asked]
    notices = Interruptions(Metadata(endpoint(os.environ), time.monotonic), time.monotonic)
    # EC2's notice first: S3 may be slow, and two minutes are short.
    return [interruption(notices, reporter), asked, idle_shutdown.trigger()]


def serve_metrics(
    config: Config, model: "Inference", reporter: Reporter
) -> AbstractContextManager[object]:
    """Answer Prometheus, where that is wanted, until the context ends."""
    identity, metrics = reporter.identity, reporter.metrics
    metrics.worker.info(
        {"worker": identity.worker, "host": identity.host, "version": identity.version}
    )
    threads = config.model.threads or cpu_quota.granted()
    metrics.model.info(
        {"name": model.info.name, "fingerprint": model.info.fingerprint}
        | {"precision": model.precision.name, "threads": str(threads)}
    )
    metrics.boot_seconds.set(reporter.boot_seconds or 0.0)
    if not config.classifier.metrics_port:
        return nullcontext()
    port = port_of(config.classifier.metrics_port, identity.worker)
    try:
        return closing(serve(metrics.registry, config.metrics.address, port))
    except OSError as error:  # to classify without them is better than not to
        log.error("no metrics", extra={"port": port, "reason": str(error)})
        return nullcontext()
