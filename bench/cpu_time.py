"""CPU time by the operating system's accounting, of a process and of all below it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def tree_cpu_seconds(root: int) -> float:
    """CPU time of a process and of all below it that still run."""
    seen = _processes()
    return sum(seen[pid][1] for pid in _family(root, seen) if pid in seen)


@contextmanager
def none_left(root: int) -> Iterator[None]:
    """At the end, kill what still runs below a process that does not end its own children."""
    try:
        yield
    finally:
        for pid in _family(root, _processes()) - {root}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> dict[int, tuple[int, float]]:
    """All processes: {id: (parent, CPU seconds)}; proc(5) names the fields."""
    found: dict[int, tuple[int, float]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks = int(fields[11]) + int(fields[12])
            found[int(folder.name)] = (int(fields[1]), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def _family(root: int, seen: dict[int, tuple[int, float]]) -> set[int]:
    family = {root}
    while grown := {pid for pid, (parent, _) in seen.items() if parent in family} - family:
        family |= grown
    return family
