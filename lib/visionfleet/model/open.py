"""From the configuration to a model at work. torch is imported when that is asked for, not before:
it takes seconds, and most of what a process does at its start has no use for it."""

import gc
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from visionfleet.aws.from_config import fetcher
from visionfleet.config import Config
from visionfleet.host import cpu_quota
from visionfleet.host.startup_timing import Phases

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference


def open_model(
    config: Config, environment: MutableMapping[str, str], phases: Phases | None = None
) -> "Inference":
    """Load, warm up and try the configured model; raises BadModel, and TryLater when S3 fails.

    The phases that end here are `framework`, `model` and `warm_up`.
    """
    phases = phases or Phases(time.time(), time.time)
    cpu_quota.yield_while_waiting(environment)
    with _uncollected():
        from visionfleet.model.artifacts import Source, cache_folder
        from visionfleet.model.inference import Inference
        from visionfleet.model.loading import load

        phases.end("framework")
        choice = config.model
        source = Source(fetcher(config.aws), cache_folder(environment))
        loaded = load(choice, source)
    phases.end("model")
    threads = choice.threads or cpu_quota.granted()
    model = Inference(loaded, config.classifier.batch_size, threads, choice.precision)
    phases.end("warm_up")
    return model


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from walking, over and over, through what imports make.

    That was a third of torch's import, and none of it is ever garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
