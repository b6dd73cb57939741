"""Options shared by several subcommands, and their validation."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from visionfleet.cli.parser import Parser
from visionfleet.config import LoadedConfig, load
from visionfleet.config.load import CONFIG_VARIABLE, path_of
from visionfleet.errors import BadKeys, GiveUp, reason_of
from visionfleet.shipped import checkout

Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"
Run = Callable[[argparse.Namespace], int]


def command(subparsers: Subparsers, name: str, about: str, run: Run) -> Parser:
    parser = subparsers.add_parser(name, help=about, description=about[:1].upper() + about[1:])
    parser.set_defaults(run=run)
    return parser


def add_config(parser: Parser) -> None:
    parser.path(
        "--config",
        "PATH",
        "configuration file; default: VISIONFLEET_CONFIG in the environment, "
        "then /etc/visionfleet/visionfleet.yaml, then etc/local.yaml of a checkout",
    )


def add_key(parser: Parser) -> None:
    parser.path("--key-file", "PATH", "file with the API key, if one is required")


def api_key(arguments: argparse.Namespace) -> str | None:
    """The key, only from a file: a command line is visible to all users of the machine."""
    file: Path | None = arguments.key_file
    if file is None:
        return None
    try:
        key = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"{file}: {reason_of(error)}") from error
    if not key:
        raise BadKeys(f"{file}: it is empty")
    return key


def loaded(arguments: argparse.Namespace) -> LoadedConfig:
    return load(config_path(arguments.config, os.environ), os.environ)


def config_path(given: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The default path: that of `make run` in a checkout, if the host has none."""
    root = checkout()
    named = given is not None or CONFIG_VARIABLE in environment
    if root is None or named or path_of(given, environment).exists():
        return given
    local = root / "etc/local.yaml"
    print(f"visionfleet: with {local}, as `make run`", file=sys.stderr)
    return local


def check_writable(*files: Path | None) -> None:
    """Raise GiveUp, before the work, for files that cannot be written after it."""
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise GiveUp(f"{file}: it is a folder")
        if not file.parent.is_dir():
            raise GiveUp(f"{file}: there is no folder {file.parent}")
        if not os.access(file if file.exists() else file.parent, os.W_OK):
            raise GiveUp(f"{file}: it cannot be written")


def make_folder(folder: Path) -> None:
    """Raise GiveUp, before the work, for a folder that cannot take its outcome."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GiveUp(f"{folder}: {reason_of(error)}") from error
    if not os.access(folder, os.W_OK):
        raise GiveUp(f"{folder}: it cannot be written to")


def web_url(text: str) -> str:
    try:
        found = urlsplit(text)
        right = found.scheme in {"http", "https"} and found.hostname and found.port != 0
    except ValueError:
        right = False
    if not right or " " in text:
        raise argparse.ArgumentTypeError("expected a URL such as http://127.0.0.1:8080")
    return text


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not (text.isdecimal() and minimum <= int(text) <= maximum):
            raise argparse.ArgumentTypeError(f"expected an integer from {minimum} to {maximum}")
        return int(text)

    return convert


def number(what: str, minimum: float, maximum: float) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not minimum <= value <= maximum:
            bounds = (f"{bound:f}".rstrip("0").rstrip(".") for bound in (minimum, maximum))
            raise argparse.ArgumentTypeError(f"expected {what} from {' to '.join(bounds)}")
        return value

    return convert


def seconds(minimum: float, maximum: float) -> Callable[[str], float]:
    return number("seconds", minimum, maximum)
