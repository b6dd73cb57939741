"""What stands beside a worker's pipeline: its lookouts, its metrics, its status, its watchdog."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING

from visionfleet.aws.clients import client_factory
from visionfleet.aws.imds import Metadata, endpoint
from visionfleet.aws.s3 import Store
from visionfleet.classifier.drain_triggers import DrainTrigger, Orphan, interruption, scaler_wish
from visionfleet.classifier.pipeline import MODEL_LOOP, RECEIVE_LOOP, Pipeline
from visionfleet.classifier.spot import Interruptions
from visionfleet.classifier.stats import Events
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config import Config
from visionfleet.config.constraints import RECEIVE_MARGIN_SECONDS
from visionfleet.host import cpu_quota
from visionfleet.host.watchdog import Pace, classifier_status

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")


def allowed_seconds(config: Config, watchdog_seconds: float) -> dict[str, float]:
    """Tell how long a step of each watched loop may take, by the settings.

    A batch whose messages are given up already is of no use, however long it goes on.
    """
    poll = config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS
    receive = client_factory(config.aws).longest_call_seconds(poll)
    batch = config.classifier.max_processing_seconds
    allowed = {RECEIVE_LOOP: receive, MODEL_LOOP: batch}
    return {loop: max(seconds, watchdog_seconds) for loop, seconds in allowed.items()}


def status(pipeline: Pipeline, reporter: Reporter, model: "Inference") -> Callable[[], str]:
    pace = Pace()

    def status() -> str:
        tally = pipeline.tally()
        rate = pace.per_second(tally.handled, time.monotonic())
        name = model.info.name
        return classifier_status(reporter.state, tally.in_flight, tally.handled, rate, name)

    return status


def orphan(config: Config, results: Store, pipeline: Pipeline, events: Events) -> Orphan:
    limit = config.classifier.idle_shutdown_seconds
    in_flight = lambda: pipeline.tally().in_flight  # noqa: E731
    return Orphan(results, limit, in_flight, events.receives, time.time, time.monotonic)


def lookouts(
    config: Config, reporter: Reporter, events: Events, orphan: Orphan
) -> list[DrainTrigger]:
    settings = config.classifier
    found = [scaler_wish(reporter, settings.drain_check_seconds)]
    if settings.ec2_instance:  # first: S3 may be slow, and two minutes are short
        metadata = Metadata(endpoint(os.environ), time.monotonic)
        notices = Interruptions(metadata, time.monotonic)
        found.insert(0, interruption(notices, reporter, events))
        found.append(orphan.lookout())
    return found


def metrics(
    config: Config, model: "Inference", pipeline: Pipeline, reporter: Reporter, events: Events
) -> AbstractContextManager[object]:
    settings = config.classifier
    if not settings.metrics_port:
        return nullcontext()
    from visionfleet.classifier import metrics

    threads = config.model.threads or cpu_quota.granted()
    facts = metrics.Facts(
        worker={"worker": reporter.identity.worker, "host": reporter.identity.host}
        | {"version": reporter.identity.version},
        model={"name": model.info.name, "fingerprint": model.info.fingerprint}
        | {"precision": model.precision.name, "threads": str(threads)},
        boot_seconds=reporter.boot_seconds or 0.0,
    )
    numbers = metrics.Numbers(events, lambda: pipeline.tally().in_flight, facts)
    port = metrics.port_of(settings.metrics_port, reporter.identity.worker)
    try:
        return closing(metrics.Server(numbers, config.metrics.address, port))
    except OSError as error:  # to classify without them is better than not to
        log.error("no metrics", extra={"port": port, "reason": str(error)})
        return nullcontext()
