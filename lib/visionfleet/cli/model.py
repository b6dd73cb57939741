"""`visionfleet model`: what a model file is, and the settings that name it."""

import argparse
import json
from dataclasses import asdict

from visionfleet.cli.model_import import add_import
from visionfleet.cli.model_teach import add_teach
from visionfleet.cli.options import add_config, command, loaded, make_folder
from visionfleet.cli.parser import Parser, given_path

_LABELS_SHOWN = 12


def add_arguments(parser: Parser) -> None:
    below = parser.add_subparsers(required=True, metavar="WHAT")
    one = command(below, "inspect", "print what a model file is", inspect)
    one.add_argument("file", type=given_path, nargs="?", help="default: the default model")
    one.flag("--json", "print what is known as JSON")

    made = command(below, "build", "build the configured model's artefact, for workers", build)
    add_config(made)
    made.path("--into", "FOLDER", "default: this user's cache")
    made.flag("--share", "also upload it to the output bucket")

    add_teach(below)
    add_import(below)


def build(arguments: argparse.Namespace) -> int:
    from visionfleet.model import making

    if arguments.into is not None:
        make_folder(arguments.into)
    artefact, path = making.build(loaded(arguments).config, arguments.into, arguments.share)
    chosen = artefact.manifest.chosen
    for name, found in chosen.measured.items():
        speed = f"{found.images_per_second:.1f} images/s, {found.agreement:.1%} the same answers"
        right = "" if found.top1 is None else f", {found.top1:.1%} right"
        print(f"  {name:<18}{found.fault or speed + right}")
    print(f"{artefact.manifest.info.name}: {chosen.runtime} {chosen.precision}, in {path}")
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    from visionfleet.model import default_model, inspection
    from visionfleet.model.source import Source

    file = arguments.file or default_model.weights()
    found = asdict(inspection.inspect(Source().read(str(file), "FILE"), file))
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, value in found.items():
        if value is not None:
            print(f"{name.replace('_', ' '):<15}{_words(name, value)}")
    return 0


def _words(name: str, value: object) -> str:
    if name == "labels" and isinstance(value, tuple):
        more = f", ... ({len(value)})" if len(value) > _LABELS_SHOWN else ""
        return ", ".join(value[:_LABELS_SHOWN]) + more
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {part}" for key, part in value.items() if not isinstance(part, dict)
        )
    return f"{value:,}" if isinstance(value, int) else str(value)
