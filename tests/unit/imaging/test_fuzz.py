"""Files broken along the lines of their format: no crash, no memory and no time over the bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from testkit import ROOT
from testkit.images.containers import CONTAINERS
from testkit.images.fuzz import broken, seeds

CASES = 1600
BOUND_MIB, BOUND_SECONDS = 400, 10


@pytest.mark.parametrize("format_", sorted(CONTAINERS))
def test_taking_apart_and_putting_together_keeps_the_file(format_: str) -> None:
    container = CONTAINERS[format_]
    for data in seeds()[format_]:
        records = container.split(data)
        assert container.split(container.join(records))[1:] == records[1:]
        assert records


@pytest.mark.parametrize("format_", sorted(CONTAINERS))
def test_broken_files_differ_from_whole_ones(format_: str) -> None:
    (data, *_), random = seeds()[format_], Random(3)
    assert len({broken(data, format_, random) for _ in range(50)}) > 40


def test_broken_files_keep_within_memory_and_time(tmp_path: Path) -> None:
    """In a process of its own, so that its death is seen, and its peak is its own."""
    command = [sys.executable, "-m", "testkit.images.fuzz", "--cases", str(CASES)]
    done = subprocess.run(
        [*command, "--keep", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (tmp_path / "current").read_bytes().hex()
    found = json.loads(done.stdout)
    assert found["crashes"] == []
    assert found["cases"] == CASES == sum(found["ends"].values())
    assert found["ends"]["seen"] > CASES / 10, "most are still files of their format"
    assert found["peak_mib"] <= BOUND_MIB
    assert found["slowest_seconds"] <= BOUND_SECONDS
