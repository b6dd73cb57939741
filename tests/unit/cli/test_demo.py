"""The parts of the demonstration that need no service: crops, chart, tables."""

import io
from pathlib import Path
from random import Random

import pytest
from PIL import Image
from rich.console import Console, RenderableType

from visionfleet.cli import demo
from visionfleet.cli.classify import InputImage
from visionfleet.cli.client import Answer
from visionfleet.cli.demo import FleetSize, bars, columns
from visionfleet.local.sample_images import (
    SIDE,
    random_crop,
    sample_images,
    shipped_photos,
)


def text_of(*shown: RenderableType) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    for one in shown:
        console.print(one)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, Path]:
    for name, colour in (("red", "red"), ("blue", "blue")):
        Image.new("RGB", (300, 200), colour).save(tmp_path / f"{name}.png")
    return {name: tmp_path / f"{name}.png" for name in ("red", "blue")}


def test_demo_crops_take_photos_in_turn_and_are_jpegs(photos: dict[str, Path]) -> None:
    made = list(sample_images(photos, 5, seed=1))
    assert [photo for photo, _ in made] == ["red", "blue", "red", "blue", "red"]
    opened = Image.open(io.BytesIO(made[0][1]))
    assert (opened.format, opened.size) == ("JPEG", (SIDE, SIDE))


def test_demo_crops_are_the_same_for_one_seed(photos: dict[str, Path]) -> None:
    assert list(sample_images(photos, 6, seed=1)) == list(sample_images(photos, 6, seed=1))
    assert list(sample_images(photos, 6, seed=1)) != list(sample_images(photos, 6, seed=2))


def test_demo_crops_a_photo_of_one_pixel() -> None:
    assert random_crop(Image.new("RGB", (3, 3)), Random(0)).size == (SIDE, SIDE)


def test_demo_photos_come_with_scikit_image() -> None:
    pytest.importorskip("skimage")
    assert set(shipped_photos()) == {"camera", "chelsea", "coffee", "rocket"}


@pytest.mark.parametrize(
    ("values", "height", "lines"),
    [
        ([], 2, ["", ""]),
        ([0, 0], 1, ["  "]),
        ([1, 2, 4, 8], 1, ["▁▂▄█"]),
        ([8, 4], 2, ["█ ", "██"]),
        ([16, 1], 2, ["█ ", "█▁"]),
    ],
)
def test_demo_chart_bars(values: list[float], height: int, lines: list[str]) -> None:
    assert bars(values, height) == lines


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], [0, 0, 0, 0]),
        ([(1, 5)], [5, 5, 5, 5]),
        ([(3.5, 5)], [0, 0, 0, 5]),
        ([(0.5, 1), (0.9, 7), (1.0, 2), (4, 9)], [7, 2, 2, 9]),
        ([(1, 1), (2, 2), (3, 3), (4.1, 4)], [1, 2, 3, 4]),
    ],
)
def test_demo_chart_fits_samples_into_columns(
    samples: list[tuple[float, float]], expected: list[float]
) -> None:
    assert columns(samples, 4, until=4) == expected


def test_demo_chart_names_the_highest_values() -> None:
    text = text_of(*demo.chart([FleetSize(1, 0, 40), FleetSize(2, 3, 10), FleetSize(12, 0, 0)]))
    assert "workers, at most 3" in text
    assert "queue, at most 40" in text
    assert "12 s" in text


def test_demo_chart_of_nothing_is_empty() -> None:
    assert "at most 0" in text_of(*demo.chart([]))


GROUPS = (("c1", "cat"), ("c2", "cat"), ("d1", "[red]"))


def test_demo_counts_labels_by_photo() -> None:
    images = [InputImage(name, b"", group) for name, group in GROUPS]
    answers = [
        Answer("c2", 0.1, label="cat"),
        Answer("c1", 0.1, label="cat"),
        Answer("d1", 0.1, problem="too large", code="too_large"),
    ]
    lines = text_of(demo.groups_table(images, answers)).splitlines()
    assert lines[1].split() == ["[red]", "1", "(too_large)", "1"]
    assert lines[2].split() == ["cat", "2", "cat", "2"]
