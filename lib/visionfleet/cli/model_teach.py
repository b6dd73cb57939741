"""`visionfleet model teach`: other classes for the configured model, from labelled photos."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from visionfleet.cli.options import Subparsers, add_config, command, loaded, make_folder
from visionfleet.cli.parser import given_path
from visionfleet.config.load import path_of
from visionfleet.errors import BadModel

if TYPE_CHECKING:
    from visionfleet.config import Config
    from visionfleet.model.teaching.photos import Photo
    from visionfleet.model.teaching.teach import Taught


def add_teach(below: Subparsers) -> None:
    about = "train the configured model on your classes, from photos in folders named by class"
    taught = command(below, "teach", about, teach)
    add_config(taught)
    taught.add_argument(
        "folder", type=given_path, nargs="?", help="has one folder per class, with 5 photos or more"
    )
    taught.flag(
        "--from-corrections", "also learn from images whose labels were corrected over HTTP"
    )
    taught.add_argument("--name", default="taught", help="name of the model; default: %(default)s")
    taught.add_argument(
        "--into",
        type=given_path,
        default=Path(),
        metavar="FOLDER",
        help="folder for file and labels; default: here",
    )
    taught.flag(
        "--serve",
        "upload it to the output bucket, write conf.d/taught-model.yaml, drain old workers",
    )
    taught.flag("--json", "print report and settings as JSON")


def teach(arguments: argparse.Namespace) -> int:
    make_folder(arguments.into)
    # They import torch.
    from visionfleet.model.teaching import serving
    from visionfleet.model.teaching.teach import teach as taught_by

    config = loaded(arguments).config
    made = taught_by(config, _photos(arguments, config), os.environ)
    files = serving.written(made, arguments.name, arguments.into)
    if arguments.serve:
        settings = serving.shared(config, made, arguments.name)
        file = path_of(arguments.config, os.environ)
        told = serving.served(config, settings, made.runtime, file)
    else:
        settings, told = serving.settings_of(made, arguments.name, *map(str, files)), []
    _tell(arguments, made, settings, [f"in {files[0]}", *told])
    return 0


def _photos(arguments: argparse.Namespace, config: "Config") -> list["Photo"]:
    from visionfleet.model.teaching.corrected import of_corrections, told
    from visionfleet.model.teaching.photos import of_folder

    photos = [] if arguments.folder is None else list(of_folder(arguments.folder))
    if arguments.from_corrections:
        found = list(of_corrections(config))
        print(told(found), file=sys.stderr)
        photos += [one.photo for one in found if one.photo is not None]
    elif arguments.folder is None:
        raise BadModel("name a folder of photos, or --from-corrections, or both")
    return photos


def _tell(
    arguments: argparse.Namespace, made: "Taught", settings: dict[str, str | None], told: list[str]
) -> None:
    from visionfleet.model.teaching.report import lines
    from visionfleet.model.teaching.serving import as_yaml

    if arguments.json:
        print(json.dumps({"report": asdict(made.report), "model": settings}, indent=2))
        return
    print("\n".join([*lines(made.report), "", *told, "the settings that serve it:", ""]))
    print(as_yaml(settings), end="")
