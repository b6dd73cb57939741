"""A wheel and a source distribution of the working copy, built beside it."""

import subprocess
import sys
from pathlib import Path

from testkit.machine.installed import pack_source


def sources(folder: Path) -> Path:
    """Copy the working copy, so that nothing that is built there is left in it."""
    place = folder / "source"
    place.mkdir()
    unpack = ["tar", "-xf", "-", "-C", str(place), "--no-same-owner"]
    subprocess.run(unpack, input=pack_source(), check=True)
    return place


def built_wheel(folder: Path) -> Path:
    """Build the wheel as pip does, with the setuptools of the tests."""
    into = folder / "dist"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(into), str(sources(folder))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    return wheel
