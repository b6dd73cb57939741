"""Plots by matplotlib, if installed."""

import importlib
from pathlib import Path
from typing import Any

from visionfleet.errors import GiveUp


def figure(width: float = 8.0, height: float = 4.5) -> Any:
    """An empty figure, size in inches."""
    library = importlib.import_module("matplotlib.figure")
    return library.Figure(figsize=(width, height), layout="constrained")


def write(drawn: Any, path: Path) -> None:
    """Write a figure in the format of the file suffix; raises GiveUp."""
    try:
        drawn.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise GiveUp(f"{path}: the plot cannot be written: {error}") from error
