"""The short form of the memory benchmark: a worker does not grow with the images it answers."""

from pathlib import Path

import pytest

from tests.support.endurance import endure

pytestmark = pytest.mark.needs_torch

# Between 500 and 1,500 images the first large ones still stretch the heap, by some 40 MiB. A leak
# of one thumbnail's pixels per image (64 x 64 x 3 bytes) would be 12 MiB, of one photo's 540 MiB.
GROWTH_MIB = 80


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    run = endure(1500, tmp_path, lambda _: None)
    assert run.wrong == 0
    assert run.broken > 10, "the bad ones were among them"
    assert run.looked_at > run.broken
    growth = run.at(1500) - run.at(500)
    assert growth < GROWTH_MIB, run.readings
