"""Terminal output: tables, a progress bar, times."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

_Item = TypeVar("_Item")
_WIDE = 10_000  # columns: nothing is truncated in a pipe


def show(*parts: RenderableType) -> None:
    if sys.stdout:
        console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
        with console.capture() as captured:
            console.print(*parts, sep="\n")
        print(captured.get(), end="")  # by itself it would end with status 1 if a pipe is closed


def say(text: str) -> None:
    print(f"visionfleet: {text}", file=sys.stderr, flush=True)


def table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def tracked(items: Iterable[_Item], doing: str, total: int | None) -> Iterator[_Item]:
    with progress_bar(doing, total) as advance:
        for item in items:
            advance()
            yield item


@contextmanager
def progress_bar(doing: str, total: int | None) -> Iterator[Callable[..., None]]:
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda count=1: progress.advance(task, count)


def utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def escaped(text: str) -> str:
    """Escape control sequences in untrusted text, such as names and bodies."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def printable(text: str) -> str:
    """Replace bytes of a file name that are not UTF-8, for printing and sending."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
