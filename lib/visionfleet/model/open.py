"""Opens the configured model by its artefact, which is made if missing."""

import gc
import logging
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

import numpy as np

from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.errors import BadModel
from visionfleet.host import cpu_quota
from visionfleet.host.process import StartupTimer
from visionfleet.model import making, processor
from visionfleet.model.artefact import Artefact, Manifest, graph_file
from visionfleet.model.artefact_store import ArtefactStore, key_of
from visionfleet.model.choice import cores_of_part, tell
from visionfleet.model.inference import Inference
from visionfleet.model.network import Network
from visionfleet.model.openvino_network import Graph, OpenVinoNetwork
from visionfleet.model.own_artefact import own_artefact
from visionfleet.model.source import cache_folder

log = logging.getLogger("classifier")


def open_model(
    config: Config,
    environment: MutableMapping[str, str],
    phases: StartupTimer | None = None,
    bucket: Store | None = None,
    lanes: int = 1,
) -> Inference:
    """Open the configured model and warm it up; raises BadModel, and TryLater if S3 fails.

    Artefacts are shared through `bucket`. Up to `lanes` threads may call the model concurrently,
    each with the configured number of threads.
    """
    phases = phases or StartupTimer(time.monotonic(), time.monotonic)
    cpu_quota.yield_while_waiting(environment)
    found = find_or_make(config, environment, bucket)
    phases.end("artefact")
    threads, batch_size = config.model.threads or cpu_quota.granted(), config.classifier.batch_size
    with _uncollected():
        model = opened(found, config.model, threads, lanes, batch_size)
    phases.end("model")
    _warm_up(model, batch_size)
    found.release()
    phases.end("warm_up")
    how = {"threads": threads, "made_by": found.manifest.made_by}
    log.info("precision chosen", extra=tell(found.manifest.chosen) | how)
    return model


def find_or_make(
    config: Config, environment: Mapping[str, str], bucket: Store | None = None
) -> Artefact:
    """Find the artefact, on this machine or in S3; make it if there is none."""
    source, here = making.source_of(config), processor.here(environment)
    if given := own_artefact(config.model, source, here):
        return given
    key = key_of(config.model, source, here)
    store = ArtefactStore((cache_folder(environment), config.model.directory), bucket)
    if found := store.find(key):
        return found
    with store.alone(key):
        # A worker on torch needs its import anyway.
        make = making.make if config.model.runtime == "torch" else making.make_apart
        return store.find(key) or store.keep(key, make(config))


def opened(
    found: Artefact, choice: ModelSection, threads: int, lanes: int = 1, batch_size: int = 1
) -> Inference:
    """Load an artefact's network, for batches of about `batch_size`; raises BadModel."""
    manifest, chosen = found.manifest, found.manifest.chosen
    if chosen.runtime == "openvino":
        name = graph_file(chosen)
        graph = Graph(found.file(f"{name}.xml"), found.file(f"{name}.bin"))
        parts = threads // cores_of_part(chosen, threads, batch_size)
        network: Network = OpenVinoNetwork(graph, chosen.precision, threads, lanes, parts)
    else:
        # Takes seconds and half a GiB, so only if chosen.
        from visionfleet.model.torch_opening import torch_network

        network = torch_network(found, threads)
    return Inference(network, _as_configured(manifest, choice), chosen)


def _as_configured(manifest: Manifest, choice: ModelSection) -> Manifest:
    given = {"temperature": choice.temperature, "unknown_below": choice.unknown_below}
    mine = manifest.model_copy(update={n: v for n, v in given.items() if v is not None})
    info = mine.info.model_copy(update={"fingerprint": mine.fingerprint()})
    return mine.model_copy(update={"info": info})


def _warm_up(model: Inference, batch_size: int) -> None:
    """Compile kernels for the expected batch sizes; raises BadModel for a failing model."""
    side = model.preprocessing.crop
    picture = np.zeros((side, side, 3), np.uint8)
    try:
        for size in {1, batch_size}:
            model.probabilities([picture] * size)
    except RuntimeError as error:
        name = model.info.name
        raise BadModel(f"model {name}: the first forward pass failed: {error}") from error


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable the garbage collector during imports: it took a third of torch's import."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
