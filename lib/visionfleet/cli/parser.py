"""The parser of `visionfleet`: argparse with suggestions for typos, and kinds of options."""

import argparse
import difflib
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

COLUMNS = 80
_NAMES = 16


class Parser(argparse.ArgumentParser):
    """Suggests commands or options for mistyped ones, also in subcommands."""

    def flag(self, name: str, about: str) -> None:
        self.add_argument(name, action="store_true", help=about)

    def path(self, name: str, metavar: str, about: str) -> None:
        self.add_argument(name, type=given_path, metavar=metavar, help=about)

    def plot(self, about: str) -> None:
        self.add_argument("--plot", type=plot_path, metavar="FILE.png", help=f"plot of {about}")

    def number(
        self,
        name: str,
        read: Callable[[str], float],
        default: float,
        about: str,
        metavar: str | None = None,
    ) -> None:
        text = f"{about}; default: {default:g}"
        self.add_argument(name, type=read, default=default, metavar=metavar, help=text)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            self.error(f"there is no command {value!r}{proposal(value, list(action.choices))}")
        super()._check_value(action, value)

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: argparse.Namespace | None = None,
    ) -> tuple[argparse.Namespace, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        for word in unknown:
            option = word.partition("=")[0]
            hint = proposal(option, list(self._option_string_actions))
            if option.startswith("--") and hint:
                self.error(f"there is no option {option}{hint}")
        return found, unknown


def given(text: str) -> str:
    """A path, or what may be one. An empty one, as of an unset variable, would be this folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    return text


def given_path(text: str) -> Path:
    return Path(given(text))


def plot_path(text: str) -> Path:
    """Refused without matplotlib, before any work."""
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(f"needs {sys.executable} -m pip install matplotlib")
    return given_path(text)


def proposal(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def listed(title: str, commands: Mapping[str, str]) -> str:
    lines = [f"{title}:"]
    for name, about in commands.items():
        indent = " " * (4 + _NAMES)
        first = f"    {name:<{_NAMES}}"
        lines += textwrap.wrap(about, COLUMNS, initial_indent=first, subsequent_indent=indent)
    return "\n".join(lines)
