"""`visionfleet evaluate`: how good and how fast a model is on labelled images, without a queue."""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from visionfleet.cli.options import Subparsers, add_config, command, loaded, whole
from visionfleet.errors import BadImage

if TYPE_CHECKING:
    from visionfleet.config import Config
    from visionfleet.datasets import Labelled
    from visionfleet.model.inference import Inference
    from visionfleet.preprocessing import Pixels


@dataclass(slots=True)
class Score:
    """What was right so far; `seconds` is the time of decoding and of the model together."""

    images: int = 0
    top1: int = 0
    top5: int = 0
    unreadable: int = 0
    seconds: float = 0.0
    per_class: Counter[str] = field(default_factory=Counter)
    right_per_class: Counter[str] = field(default_factory=Counter)

    def add(self, folder: str, index: int, ranking: list[int]) -> None:
        """Count one answer; `ranking` holds class indices, best first."""
        self.images += 1
        self.per_class[folder] += 1
        self.top5 += index in ranking
        if ranking[0] == index:
            self.top1 += 1
            self.right_per_class[folder] += 1

    def summary(self, model: str) -> dict[str, object]:
        """Figures as plain values, for JSON."""
        shares = {name: self.right_per_class[name] / n for name, n in self.per_class.items()}
        return {
            "model": model,
            "images": self.images,
            "unreadable": self.unreadable,
            "top1": self.top1 / max(1, self.images),
            "top5": self.top5 / max(1, self.images),
            "images_per_second": self.images / self.seconds if self.seconds else 0.0,
            "per_class": dict(sorted(shares.items())),
        }


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(subparsers, "evaluate", "measure the model on labelled images", run)
    add_config(parser)
    parser.add_argument("data", type=Path, help="folder or ZIP file with one folder per class")
    parser.add_argument("--limit", type=whole(1, 10**9), help="look at the first N images only")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Load the configured model and measure it."""
    from visionfleet import datasets
    from visionfleet.model.opening import open_model

    config = loaded(arguments).config
    total = min(datasets.count(arguments.data), arguments.limit or sys.maxsize)
    model = open_model(config, os.environ)
    images = islice(datasets.read(arguments.data), total)
    score = _measure(config, model, model.labels, images, total)
    summary = score.summary(f"{model.info.name} {model.info.fingerprint} {model.precision.name}")
    if arguments.json:
        print(json.dumps(summary, indent=2))
    else:
        _print_table(summary)
    return 0


def _measure(
    config: "Config",
    model: "Inference",
    labels: tuple[str, ...],
    images: Iterator["Labelled"],
    total: int,
) -> Score:
    from rich.console import Console
    from rich.progress import Progress

    from visionfleet.datasets import class_indices

    score = Score()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("evaluating", total=total)
        while batch := list(islice(images, config.classifier.batch_size)):
            indices = class_indices({item.folder for item in batch}, labels)
            started = time.perf_counter()
            _classify(config, model, batch, indices, score)
            score.seconds += time.perf_counter() - started
            progress.advance(task, len(batch))
    return score


def _classify(
    config: "Config",
    model: "Inference",
    batch: list["Labelled"],
    indices: dict[str, int],
    score: Score,
) -> None:
    readable: list[Labelled] = []
    pixels: list[Pixels] = []
    for item in batch:
        try:
            pixels.append(_pixels(config, model, item.data))
            readable.append(item)
        except BadImage:
            score.unreadable += 1
    if pixels:
        for item, ranking in zip(readable, model.rank(pixels, 5), strict=True):
            score.add(item.folder, indices[item.folder], [ranked.index for ranked in ranking])


def _pixels(config: "Config", model: "Inference", data: bytes) -> "Pixels":
    from visionfleet import images
    from visionfleet.preprocessing import prepare

    limits = images.Limits(config.images.max_bytes, config.images.max_pixels, config.images.formats)
    decoded = images.decode(data, limits, model.preprocessing.resize)
    return prepare(decoded, model.preprocessing)


def _print_table(summary: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("class", "top-1")
    shares = summary["per_class"]
    assert isinstance(shares, dict)
    for name, share in shares.items():
        table.add_row(name, f"{share:.1%}")
    console = Console()
    if len(shares) <= 50:
        console.print(table)
    print(
        f"{summary['model']}: top-1 {summary['top1']:.2%}, top-5 {summary['top5']:.2%} of "
        f"{summary['images']} images ({summary['unreadable']} unreadable), "
        f"{summary['images_per_second']:.0f} images/s"
    )
