"""Plots, drawn with matplotlib where that is installed."""

import importlib
from pathlib import Path
from typing import Any

from visionfleet.errors import GiveUp


def figure(width: float = 8.0, height: float = 4.5) -> Any:
    """Make an empty figure, inches wide and high; raises GiveUp where matplotlib is missing."""
    try:
        library = importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise GiveUp("--plot needs matplotlib: pip install matplotlib") from error
    return library.Figure(figsize=(width, height), layout="constrained")


def write(drawn: Any, path: Path) -> None:
    """Write a figure in the format that the name ends in; raises GiveUp."""
    try:
        drawn.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        raise GiveUp(f"{path}: the plot cannot be written: {error}") from error
