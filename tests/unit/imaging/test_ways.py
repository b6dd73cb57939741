"""The same picture in over 150 ways of writing it is the same picture for a model."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from testkit import ROOT
from testkit.images.pictures import crops_of_photos
from testkit.images.reading import Limits, read_pixels
from testkit.images.ways import Way, save, ways
from visionfleet.config import Config
from visionfleet.imaging.model_input import Preprocessing

LIMITS = Limits(20_000_000, 50_000_000, Config().images.formats)
HOW = Preprocessing(160, 144, (0, 0, 0), (1, 1, 1))
WAYS = ways()
PICTURES = 10
Seen = npt.NDArray[np.int_]


def seen(data: bytes) -> Seen:
    return read_pixels(data, LIMITS, HOW).astype(int)


@pytest.fixture(scope="module")
def originals() -> dict[bool, list[tuple[Image.Image, Seen]]]:
    """The pictures, each with how it is seen in colours, or in grey."""
    made = crops_of_photos(PICTURES)
    return {
        grey: [(one, seen(save(one.convert("L") if grey else one, "PNG"))) for one in made]
        for grey in (False, True)
    }


def test_there_are_many_ways_and_their_names_are_unique() -> None:
    assert len(WAYS) >= 150
    assert len({way.name for way in WAYS}) == len(WAYS)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.filterwarnings("ignore")
def test_a_picture_is_seen_as_its_original(
    way: Way, originals: dict[bool, list[tuple[Image.Image, Seen]]]
) -> None:
    for original, expected in originals[way.grey]:
        difference = float(np.abs(seen(way.write(original)) - expected).mean())
        assert difference <= way.tolerance


def test_docs_count_the_ways() -> None:
    page = (ROOT / "docs" / "images.md").read_text().partition("## Ways of writing")[2]
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")][2:]
    assert sum(int(row[2]) for row in rows) == len(WAYS)
    assert f"in {len(WAYS)} ways" in page
    assert max(float(row[3]) for row in rows) == max(way.tolerance for way in WAYS)
