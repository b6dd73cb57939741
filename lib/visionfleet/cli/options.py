"""Options shared by several subcommands, and their validation."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from visionfleet.config import LoadedConfig, load
from visionfleet.config.load import CONFIG_VARIABLE, path_of
from visionfleet.errors import BadKeys
from visionfleet.shipped import checkout

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]

_PLOTS = (".png", ".svg", ".pdf")


def command(subparsers: Subparsers, name: str, about: str, run: Run) -> argparse.ArgumentParser:
    parser = subparsers.add_parser(name, help=about, description=about[:1].upper() + about[1:])
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="configuration file; default: VISIONFLEET_CONFIG in the environment, "
        "then /etc/visionfleet/visionfleet.yaml, then etc/local.yaml of a checkout",
    )


def add_key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key-file", type=Path, metavar="PATH", help="file with the API key, if one is required"
    )


def api_key(arguments: argparse.Namespace) -> str | None:
    """The key, only from a file: a command line is visible to all users of the machine."""
    path: Path | None = arguments.key_file
    try:
        return None if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"{path}: {error}") from error


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


def output_file(text: str) -> Path:
    """A file to be written after long work, so that it is refused before."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder, not a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return _writable(path, path if path.exists() else path.parent)


def plot_file(text: str) -> Path:
    if not text.endswith(_PLOTS):
        raise argparse.ArgumentTypeError(f"expected a name that ends in {', '.join(_PLOTS)}")
    return output_file(text)


def output_folder(text: str) -> Path:
    """A folder to be written to after long work; it need not exist."""
    path = Path(text)
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise argparse.ArgumentTypeError(f"{existing} is not a folder")
    return _writable(path, existing)


def _writable(path: Path, existing: Path) -> Path:
    if not os.access(existing, os.W_OK):
        raise argparse.ArgumentTypeError(f"{existing} is not writable")
    return path


def web_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise argparse.ArgumentTypeError(f"expected http://HOST:PORT or https://HOST, not {text!r}")
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
            raise argparse.ArgumentTypeError(f"expected {what} from {minimum:g} to {maximum:g}")
        return value

    return convert


def seconds(minimum: float, maximum: float) -> Callable[[str], float]:
    return number("seconds", minimum, maximum)
