"""The physical limit: decode, then a batched forward pass, in the same precision, nothing else.

Prints JSON: images, wall and CPU seconds, seconds by stage and each image's label, after a warm-up.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

from visionfleet.config import load
from visionfleet.imaging import decode
from visionfleet.imaging.preprocess import prepare
from visionfleet.model.open import open_model


def cpu_seconds() -> float:
    """CPU time of this process, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Load the configured model and loop over the files of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    files = sorted(parser.parse_args().folder.iterdir())
    config = load(None, os.environ).config
    size = config.classifier.batch_size
    limits = config.images
    model = open_model(config, os.environ)

    def work(some: list[Path]) -> tuple[float, float, list[str]]:
        began = time.perf_counter()
        decoded = [decode.decode(p.read_bytes(), limits, model.preprocessing.resize) for p in some]
        pixels = [prepare(image, model.preprocessing) for image in decoded]
        between = time.perf_counter()
        ranked = model.rank(pixels, 5)
        ended = time.perf_counter()
        return between - began, ended - between, [answer[0].label for answer in ranked]

    work(files[:size])
    cpu, wall = cpu_seconds(), time.perf_counter()
    done = [work(files[start : start + size]) for start in range(0, len(files), size)]
    spent = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
    stages = {"decode": sum(d for d, _, _ in done), "infer": sum(i for _, i, _ in done)}
    labels = [label for _, _, some in done for label in some]
    print(json.dumps({"images": len(files), **spent, "stages": stages, "labels": labels}))


if __name__ == "__main__":
    main()
