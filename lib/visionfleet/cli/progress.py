"""A progress bar on standard error, only when a person looks."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_Item = TypeVar("_Item")


def tracked(items: Iterable[_Item], doing: str, total: int | None) -> Iterator[_Item]:
    """Pass items through and count them on a bar."""
    with counted(doing, total) as advance:
        for item in items:
            advance()
            yield item


@contextmanager
def counted(doing: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Show a bar, and move it on by one with each call of what is yielded."""
    console = Console(stderr=True)
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=total)
        yield lambda: progress.advance(task)
