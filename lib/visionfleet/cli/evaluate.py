"""`visionfleet evaluate`: how good and how fast a model is on labelled images, without a queue."""

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from rich.table import Table

from visionfleet.cli import terminal
from visionfleet.cli.options import add_config, loaded, whole
from visionfleet.cli.parser import Parser, given_path
from visionfleet.evaluation import datasets
from visionfleet.host import cpu_quota
from visionfleet.model.evaluate import Benchmark, measure
from visionfleet.model.open import open_model

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference


_MAXIMUM_CLASSES = 50  # for a readable table or confusion matrix
_LOST_SHARE = 0.1  # the share of correct answers below the proposed threshold


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.add_argument(
        "data", type=given_path, help="folder or ZIP file with one folder per class"
    )
    parser.add_argument("--limit", type=whole(1, 10**9), help="use N images, spread over the data")
    parser.flag("--json", "print figures as JSON")
    parser.flag(
        "--calibrate",
        "propose model.temperature and model.unknown_below; use images reserved for this",
    )


def run(arguments: argparse.Namespace) -> int:
    config = loaded(arguments).config
    # Each thread decodes and computes: parallelism within layers took a fifth longer.
    threads = config.model.threads or cpu_quota.granted()
    alone = config.model.model_copy(update={"threads": 1})
    config = config.model_copy(update={"model": alone})
    total = min(datasets.count(arguments.data), arguments.limit or sys.maxsize)
    model = open_model(config, os.environ, lanes=threads)

    with terminal.progress_bar("evaluating", total) as advance:
        images, size = datasets.read(arguments.data, total), config.classifier.batch_size
        measured = measure(model, images, config.images, size, threads, advance)
    figures = summary(model, measured)
    if arguments.calibrate:
        figures["calibration"] = _calibration(model, measured)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        _print_table(figures)
    return 0


def summary(model: "Inference", measured: Benchmark) -> dict[str, object]:
    found = measured.evaluation
    images, total = len(found.folders), len(found.folders) + measured.unreadable
    unknown, known_top1 = found.unknown(model.unknown_below)
    figures: dict[str, object] = {
        "model": f"{model.info.name} {model.info.fingerprint} {model.precision.runtime} "
        f"{model.precision.precision}",
        "images": images,
        "unreadable": measured.unreadable,
        "top1": found.top(1),
        "top5": found.top(5),
        "expected_calibration_error": found.expected_calibration_error(),
        "mean_score": float(found.confidences.mean()) if images else 0.0,
        "unknown_below": model.unknown_below,
        "unknown": unknown,
        "top1_of_known": known_top1,
        "images_per_second": total / measured.seconds,
        "cpu_seconds_per_image": measured.cpu_seconds / max(1, total),
        "per_class": found.per_class(),
    }
    few = len(model.labels) <= _MAXIMUM_CLASSES
    return figures | ({"confusion": found.confusion()} if few else {})


def _calibration(model: "Inference", measured: Benchmark) -> dict[str, float]:
    """Propose both settings; the given scores are divided by the current temperature."""
    further = measured.evaluation.temperature()
    return {
        "temperature": round(model.temperature * further, 3),
        "unknown_below": round(measured.evaluation.threshold(further, _LOST_SHARE), 3),
    }


def _print_table(figures: dict[str, object]) -> None:
    table = Table("class", "top-1")
    shares = figures["per_class"]
    assert isinstance(shares, dict)
    for name, share in shares.items():
        table.add_row(name, f"{share:.1%}")
    if len(shares) <= _MAXIMUM_CLASSES:
        terminal.show(table)
    print(
        f"{figures['model']}: top-1 {figures['top1']:.2%}, top-5 {figures['top5']:.2%} of "
        f"{figures['images']} images ({figures['unreadable']} unreadable), calibration error "
        f"{figures['expected_calibration_error']:.2%}, {figures['unknown']:.1%} not sure, "
        f"{figures['images_per_second']:.0f} images/s"
    )
    if "calibration" in figures:
        print(f"proposed settings of `model`: {figures['calibration']}")
