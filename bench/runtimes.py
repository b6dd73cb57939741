"""What each runtime and precision makes of a model's answers: the table in docs/models.md.

`python -m bench.runtimes COMPARED FITTED` with folders of photos named by class, like
000_tench.JPEG: answers are compared with torch's float32 and with the class on COMPARED; int8 is
fitted to FITTED. The model is the configured one (VISIONFLEET_MODEL__... in the environment); its
figures are kept under --name.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from bench.figures import show, update
from visionfleet.config import Config, load
from visionfleet.evaluation.accuracy import Evaluation
from visionfleet.evaluation.datasets import read
from visionfleet.host import cpu_quota
from visionfleet.imaging.preprocess import pixels_of
from visionfleet.model import processor
from visionfleet.model.choice import TORCH_FLOAT32, Asked
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load as load_model
from visionfleet.model.network import Floats
from visionfleet.model.samples import Samples
from visionfleet.model.source import Source, cache_folder
from visionfleet.model.trials import Contest, compete

BATCH = 8
PLAIN = {"VISIONFLEET_CONFIG": os.devnull}  # unless the environment names another


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.runtimes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("compared", type=Path)
    parser.add_argument("fitted", type=Path)
    parser.add_argument("--name", default="default")
    arguments = parser.parse_args()
    found = figures(load(None, PLAIN | os.environ).config, arguments.compared, arguments.fitted)
    update("runtimes", {arguments.name: found})
    columns = list(next(iter(found.values())))
    rows = [[name, *(f"{row[c]:.4f}" for c in columns)] for name, row in found.items()]
    show(arguments.name, ["runtime, precision", *columns], rows)


def figures(config: Config, compared: Path, fitted: Path) -> dict[str, dict[str, float]]:
    """Shares of all compared photos, and milliseconds of processor time per image, by candidate."""
    loaded = load_model(config.model, Source(cache=cache_folder(os.environ)))
    photos = list(read(compared))
    targets = [int(photo.folder) for photo in photos]
    pixels = [pixels_of(photo.data, config.images, loaded.preprocessing) for photo in photos]
    more = [pixels_of(photo.data, config.images, loaded.preprocessing) for photo in read(fitted)]
    threads = cpu_quota.granted()
    contest = compete(
        loaded,
        Asked("auto", "auto"),
        Samples(pixels, more, targets),
        BATCH,
        threads,
        processor.here(os.environ).bfloat16,
        int8=True,
    )
    models = {
        str(name): Inference(network, loaded, contest.chosen)
        for name, network in contest.networks.items()
    }
    answers = {
        name: np.concatenate(
            [model.probabilities(pixels[i : i + BATCH]) for i in range(0, len(pixels), BATCH)]
        )
        for name, model in models.items()
    }
    first, folders = answers[str(TORCH_FLOAT32)], [photo.folder for photo in photos]
    return {
        name: _row(Evaluation(loaded.labels, folders, np.asarray(targets), found), first)
        | {"cpu_ms": _cpu_ms(contest, name, threads)}
        for name, found in answers.items()
    }


def _row(judged: Evaluation, first: Floats) -> dict[str, float]:
    return {
        "agreement": float((judged.answers == first.argmax(axis=1)).mean()),
        "top1": judged.top(1),
        "top5": judged.top(5),
        "calibration_error": judged.expected_calibration_error(),
    }


def _cpu_ms(contest: Contest, name: str, threads: int) -> float:
    measured = contest.chosen.measured.get(name)
    return float("nan") if measured is None else 1000 * threads / measured.images_per_second


if __name__ == "__main__":
    main()
