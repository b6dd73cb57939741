"""From the configuration to a model at work. torch is imported when that is asked for, not before:
it takes seconds, and most of what a process does at its start has no use for it."""

import gc
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.schema import AwsSection
from visionfleet.host import cpu_quota
from visionfleet.host.process import StartupTimer

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference


def open_model(
    config: Config, environment: MutableMapping[str, str], phases: StartupTimer | None = None
) -> "Inference":
    """Load, warm up and try the configured model; raises BadModel, and TryLater when S3 fails."""
    phases = phases or StartupTimer(time.monotonic(), time.monotonic)
    cpu_quota.yield_while_waiting(environment)
    with _uncollected():
        from visionfleet.model.artifacts import Source, cache_folder
        from visionfleet.model.inference import Inference
        from visionfleet.model.loading import load

        phases.end("framework")
        choice = config.model
        source = Source(partial(_fetch, config.aws), cache_folder(environment))
        loaded = load(choice, source)
    phases.end("model")
    threads = choice.threads or cpu_quota.granted()
    model = Inference(loaded, config.classifier.batch_size, threads, choice.precision)
    phases.end("warm_up")
    return model


def _fetch(settings: AwsSection, bucket: str, key: str) -> bytes:
    return Store(client_factory(settings).client("s3"), bucket).get(key)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from what imports make: it was a third of torch's import."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
