"""CPU time of this process and its children, including running ones."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(proc: Path = Path("/proc")) -> float:
    """The sum by proc(5); a child whose line cannot be read counts once it has exited."""
    own, children = os.times(), set[str]()
    for task in (proc / "self/task").glob("*/children"):
        try:
            children |= set(task.read_text().split())
        except OSError:
            continue
    spent = sum(_child_ticks(proc / child / "stat") for child in children) / _TICKS
    return own.user + own.system + own.children_user + own.children_system + spent


def _child_ticks(stat: Path) -> int:
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
