"""Measures the throughput of one worker on this host: decoding and classifying, without a queue.

One process per worker, as in production: reads trials from stdin, a JSON object per line, and
writes results. Images are decoded on threads beside the model, with `prefetch` images in flight;
batches are dynamic, as in a worker.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from visionfleet.config import Config
from visionfleet.errors import BadModel, TryLater
from visionfleet.imaging.model_input import Pixels
from visionfleet.imaging.preprocess import pixels_of, readable_pixels
from visionfleet.model.inference import Inference
from visionfleet.model.open import open_model

_Ready = tuple[float, Pixels]


class Pace:
    """Decodes and classifies the photos repeatedly, for some seconds at a time."""

    def __init__(self, config: Config, photos: Sequence[bytes]) -> None:
        self._config, self._limits = config, config.images
        self._model = self._opened()
        self._how = self._model.preprocessing
        readable = (readable_pixels(photo, config.images, self._how) for photo in photos)
        self._photos = [p for p, pixels in zip(photos, readable, strict=True) if pixels is not None]
        if not self._photos:
            raise BadModel("none of the images can be decoded")

    def run(self, batch_size: int, prefetch: int, seconds: float) -> dict[str, object]:
        """The number of images, the seconds, and each image's latency."""
        if batch_size != self._config.classifier.batch_size:
            sized = self._config.classifier.model_copy(update={"batch_size": batch_size})
            self._config = self._config.model_copy(update={"classifier": sized})
            self._model = self._opened()
        free, ready = threading.Semaphore(prefetch), queue.SimpleQueue[_Ready]()
        stop, latencies = threading.Event(), list[float]()
        threads = min(prefetch, max(1, len(os.sched_getaffinity(0))))
        decoders = [
            threading.Thread(target=self._decode, args=(first, threads, free, ready, stop))
            for first in range(threads)
        ]
        for decoder in decoders:
            decoder.start()
        started = time.monotonic()
        while time.monotonic() < started + seconds:
            batch = _gathered(ready, batch_size)
            self._model.rank([pixels for _, pixels in batch], 5)
            now = time.monotonic()
            latencies += [now - began for began, _ in batch]
            free.release(len(batch))
        took = time.monotonic() - started
        stop.set()
        free.release(threads)
        for decoder in decoders:
            decoder.join()
        return {"images": len(latencies), "seconds": took, "latencies": latencies}

    def _opened(self) -> Inference:
        """As a worker opens it: the division of batches among cores depends on their size."""
        return open_model(self._config, os.environ)

    def _decode(
        self,
        first: int,
        step: int,
        free: threading.Semaphore,
        ready: "queue.SimpleQueue[_Ready]",
        stop: threading.Event,
    ) -> None:
        number = first
        while free.acquire() and not stop.is_set():
            began = time.monotonic()
            photo = self._photos[number % len(self._photos)]
            ready.put((began, pixels_of(photo, self._limits, self._how)))
            number += step


def _gathered(ready: "queue.SimpleQueue[_Ready]", most: int) -> list[_Ready]:
    """Wait for an image, and take what else is queued."""
    batch = [ready.get()]
    while len(batch) < most and not ready.empty():
        batch.append(ready.get())
    return batch


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ended by its parent
    said = json.loads(sys.stdin.readline())
    os.sched_setaffinity(0, said["cpus"])
    config = Config.model_validate_json(json.dumps(said["config"]))
    photos = [Path(path).read_bytes() for path in said["photos"]]
    try:
        pace = Pace(config, photos)
    except (BadModel, TryLater) as error:
        _tell({"fault": str(error)})
        return
    _tell({"ready": True})
    for line in sys.stdin:
        _tell(pace.run(**json.loads(line)))


def _tell(found: dict[str, object]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
