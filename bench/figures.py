"""What all benchmarks share: the machine's name, medians, tables, result files."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def machine() -> str:
    """Name the processor, its cores and the versions that matter."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    said = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    name = said.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in said:
        name += f" (family {said['cpu family']}, model {said['model']})"
    bfloat16 = "with" if "avx512_bf16" in said.get("flags", "").split() else "without"
    return (
        f"{name}, {os.cpu_count()} cores, {bfloat16} AVX-512 BF16, "
        f"Python {platform.python_version()}"
    )


def flags() -> list[str]:
    """The instruction sets of the processor on which vector code depends."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    known = next((line.split() for line in lines if line.startswith("flags")), [])
    return [flag for flag in known if flag.startswith(("avx", "amx", "fma", "sse4"))]


def median(values: Sequence[float]) -> float:
    """The middle of several runs."""
    return statistics.median(values)


def save(name: str, figures: Mapping[str, object]) -> Path:
    """Write figures to bench/results/<name>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **figures}, indent=2) + "\n")
    return path


def update(name: str, figures: Mapping[str, object]) -> Path:
    """Write figures into bench/results/<name>.json, and leave what else is known there."""
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known.pop("machine", None)
    for key, value in figures.items():
        both = isinstance(value, Mapping) and isinstance(known.get(key), dict)
        known[key] = known[key] | value if both else value
    return save(name, known)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
