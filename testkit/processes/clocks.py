"""Processes whose clock is wrong, and may be set meanwhile."""

import os
from pathlib import Path

from testkit import ROOT
from testkit.processes.daemons import PYTHONPATH


def set_clock(folder: Path, name: str, seconds: float) -> dict[str, str]:
    """Write a clock's fault, whole; returns the environment of who has that clock."""
    file = folder / f"{name}.clock"
    new = file.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(file)
    path = os.pathsep.join([str(ROOT / "testkit/processes/stepped_clock"), PYTHONPATH])
    return {"STEPPED_CLOCK": str(file), "PYTHONPATH": path}
