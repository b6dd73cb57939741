"""The short form of the memory benchmark: a worker does not grow with the images it classifies."""

from pathlib import Path

import pytest

from testkit.classifier.endurance import endure

pytestmark = pytest.mark.needs_torch

EARLY, LATE = 300, 700
# Between them the first large images still stretch the heap, by some 40 MiB. A leak of one photo's
# pixels per image (500 x 375 x 3 bytes) would be 215 MiB. The benchmark looks at 20,000 images.
GROWTH_MIB = 80


def test_memory_does_not_grow_with_the_images(tmp_path: Path) -> None:
    run = endure(LATE, tmp_path, lambda _: None)
    assert run.wrong == 0
    assert run.broken > 5, "the bad ones were among them"
    assert run.looked_at > run.broken
    growth = run.at(LATE) - run.at(EARLY)
    assert growth < GROWTH_MIB, run.readings
