"""What several subcommands share: options, their checks, and text that any terminal can show."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from visionfleet.config import LoadedConfig

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
Run = Callable[[argparse.Namespace], int]


def command(subparsers: Subparsers, name: str, about: str, run: Run) -> argparse.ArgumentParser:
    """Add a subcommand that `run` carries out; `about` is its line in the help."""
    parser = subparsers.add_parser(name, help=about, description=about[:1].upper() + about[1:])
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the option --config."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help="configuration file; default: VISIONFLEET_CONFIG in the environment, "
        "then /etc/visionfleet/visionfleet.yaml",
    )


def loaded(arguments: argparse.Namespace) -> "LoadedConfig":
    """Load the configuration that the arguments and the environment name."""
    from visionfleet.config import load

    return load(arguments.config, os.environ)


def whole(least: int, most: int) -> Callable[[str], int]:
    """Make an argument type: an integer within bounds."""

    def convert(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"expected an integer from {least} to {most}")
        return int(text)

    return convert


def seconds(least: float, most: float) -> Callable[[str], float]:
    """Make an argument type: a number of seconds within bounds."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"expected seconds from {least:g} to {most:g}")
        return number

    return convert


def printable(text: str) -> str:
    """Make a file's name safe to print and to send: bytes that are not UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
