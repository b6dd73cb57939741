"""`visionfleet model import`: an artefact of a model from elsewhere, and settings that serve it."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from visionfleet.cli.options import Subparsers, command, make_folder, number, whole
from visionfleet.cli.parser import given, given_path


def add_import(below: Subparsers) -> None:
    one = command(below, "import", "make an artefact of a model from elsewhere", run)
    one.add_argument(
        "source",
        type=given,
        help="a file, a folder with config.json, or a name in torchvision, timm or on the hub",
    )
    one.add_argument(
        "--into", type=given_path, default=Path(), metavar="FOLDER", help="default: here"
    )
    one.add_argument("--name", help="model name in results; default: that of the source")
    one.add_argument(
        "--labels",
        type=given,
        metavar="FILE",
        help="one per line or JSON, in the order of the scores",
    )
    one.add_argument(
        "--architecture", metavar="NAME", help="network of weights, such as resnet18, timm:resnet26"
    )
    for side, what in (("resize", "shorter side after resizing"), ("crop", "side of the square")):
        one.add_argument(f"--{side}", type=whole(1, 8192), metavar="PIXELS", help=what)
    for values, least in (("mean", 0.0), ("std", 0.001)):
        help_ = f"{values} of each channel, of values from 0 to 1"
        read = number("values of 0 to 1, not to 255,", least, 1)
        one.add_argument(f"--{values}", type=read, nargs=3, metavar=("R", "G", "B"), help=help_)
    one.add_argument("--interpolation", choices=("bilinear", "bicubic", "lanczos"))


def run(arguments: argparse.Namespace) -> int:
    from visionfleet.model.importing import making
    from visionfleet.model.importing.found import Wanted, plain_name
    from visionfleet.model.source import Source, read_labels

    make_folder(arguments.into)
    given: dict[str, Any] = {
        n: getattr(arguments, n) for n in ("architecture", "resize", "crop", "interpolation")
    }
    for values in ("mean", "std"):
        given[values] = tuple(getattr(arguments, values)) if getattr(arguments, values) else None
    if arguments.labels:
        given["labels"] = read_labels(Source(), arguments.labels)
    name = plain_name(arguments.name) if arguments.name else None
    made = making.imported(arguments.source, Wanted(**given), name, os.environ, _tell)
    path, settings = making.written(made, arguments.into)
    for one in made.compared:
        print(
            f"  photo {one.photo}: {one.ours} {one.score:.2f}, the source says {one.its_own} "
            f"(probabilities differ by {one.difference:.4f} at most)"
        )
    for note in made.notes:
        print(f"  note: {note}")
    chosen = made.opened.manifest.chosen
    print(f"{path}: {chosen.runtime} {chosen.precision}, {len(made.data):,} bytes")
    print(f"{settings}: put both files into conf.d beside visionfleet.yaml:\n")
    print(settings.read_text(), end="")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
