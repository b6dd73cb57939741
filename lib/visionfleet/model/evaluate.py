"""Runs a model over labelled images, with several threads."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from visionfleet.evaluation.accuracy import Evaluation
from visionfleet.evaluation.calibration import Floats
from visionfleet.evaluation.datasets import Labelled, class_indices
from visionfleet.imaging.decode import ImageLimits
from visionfleet.imaging.preprocess import readable_pixels
from visionfleet.model.inference import Inference

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Benchmark:
    evaluation: Evaluation
    unreadable: int
    seconds: float
    cpu_seconds: float


def measure(
    model: Inference,
    images: Iterable[Labelled],
    limits: ImageLimits,
    batch_size: int,
    threads: int,
    progress: Progress = lambda _images: None,
) -> Benchmark:
    """Classify batches, one per thread; raises BadDataset for a folder that is not a class."""
    started, started_cpu = time.perf_counter(), time.process_time()
    folders: list[str] = []
    rows: list[np.ndarray] = [np.empty((0, len(model.labels)), np.float32)]
    seen = 0
    for answered in _answered(model, images, limits, batch_size, threads):
        folders += answered.folders
        rows.append(answered.probabilities)
        seen += answered.images
        progress(answered.images)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    indices = class_indices(set(folders), model.labels)
    targets = np.array([indices[folder] for folder in folders], int)
    evaluation = Evaluation(model.labels, folders, targets, np.concatenate(rows))
    return Benchmark(evaluation, seen - len(folders), seconds, cpu_seconds)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A batch: its size, and folders and probabilities of its readable images."""

    images: int
    folders: list[str]
    probabilities: Floats


def _answered(
    model: Inference, images: Iterable[Labelled], limits: ImageLimits, batch_size: int, threads: int
) -> Iterator[_Answered]:
    source = iter(images)
    known: set[str] = set()
    with ThreadPoolExecutor(threads) as pool:
        under_way: deque[Future[_Answered]] = deque()
        while batch := tuple(islice(source, batch_size)):
            if new := {item.folder for item in batch} - known:
                class_indices(new, model.labels)  # fail early for a wrong folder
                known |= new
            under_way.append(pool.submit(_answer, model, batch, limits))
            if len(under_way) > threads:
                yield under_way.popleft().result()
        yield from (answer.result() for answer in under_way)


def _answer(model: Inference, batch: Sequence[Labelled], limits: ImageLimits) -> _Answered:
    how = model.preprocessing
    looked = [(item.folder, readable_pixels(item.data, limits, how)) for item in batch]
    good = [(folder, pixels) for folder, pixels in looked if pixels is not None]
    if not good:
        return _Answered(len(batch), [], np.empty((0, len(model.labels)), np.float32))
    rows = model.probabilities([pixels for _, pixels in good])
    return _Answered(len(batch), [folder for folder, _ in good], rows)
