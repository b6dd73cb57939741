"""Runs a model over labelled images, decoding as a worker does: some threads ahead of the model."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from visionfleet.datasets import Labelled, class_indices
from visionfleet.errors import BadImage
from visionfleet.evaluation import Evaluation
from visionfleet.images import Limits, decode
from visionfleet.model.inference import Inference
from visionfleet.preprocessing import Pixels, prepare

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out, and the seconds it took: on the clock, and of all processors together."""

    evaluation: Evaluation
    unreadable: int
    seconds: float
    cpu_seconds: float


def measure(
    model: Inference,
    images: Iterable[Labelled],
    limits: Limits,
    batch_size: int,
    threads: int,
    progress: Progress = lambda _images: None,
) -> Measured:
    """Classify the images in batches; raises BadDataset when a folder is no class of the model."""
    started, started_cpu = time.perf_counter(), time.process_time()
    folders: list[str] = []
    rows: list[np.ndarray] = [np.empty((0, len(model.labels)), np.float32)]
    seen = 0
    for batch in _decoded(model, images, limits, batch_size, threads):
        good = [(item.folder, pixels) for item, pixels in batch if pixels is not None]
        if good:
            folders += [folder for folder, _ in good]
            rows.append(model.probabilities([pixels for _, pixels in good]).numpy())
        seen += len(batch)
        progress(len(batch))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    indices = class_indices(set(folders), model.labels)
    targets = np.array([indices[folder] for folder in folders], int)
    evaluation = Evaluation(model.labels, folders, targets, np.concatenate(rows))
    return Measured(evaluation, seen - len(folders), seconds, cpu_seconds)


_Decoded = list[tuple[Labelled, Pixels | None]]


def _decoded(
    model: Inference, images: Iterable[Labelled], limits: Limits, batch_size: int, threads: int
) -> Iterator[_Decoded]:
    """Decode on threads, a few batches ahead; what cannot be read has no pixels."""

    def look(batch: tuple[Labelled, ...]) -> _Decoded:
        return [(item, _pixels(model, item.data, limits)) for item in batch]

    source = iter(images)
    known: set[str] = set()
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[_Decoded]] = deque()
        while batch := tuple(islice(source, batch_size)):
            if new := {item.folder for item in batch} - known:
                class_indices(new, model.labels)  # a wrong folder is told at once
                known |= new
            under_way.append(pool.submit(look, batch))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _pixels(model: Inference, data: bytes, limits: Limits) -> Pixels | None:
    try:
        image = decode(data, limits, model.preprocessing.resize)
    except BadImage:
        return None
    return prepare(image, model.preprocessing)
