"""The label of a picture does not depend on the way in which it was written."""

import pytest

from testkit import ROOT
from testkit.images.pictures import crops_of_photos
from testkit.images.reading import Limits, read_pixels
from testkit.images.ways import Way, save, ways
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.contract.messages import Ranked
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch

LIMITS = Limits(20_000_000, 50_000_000, Config().images.formats)
PICTURES = 10
Ranking = tuple[Ranked, ...]


class Eye:
    """The shipped model, and what it says of the pictures in colours and in grey."""

    def __init__(self) -> None:
        self.model = Inference(load(ModelSection(directory=ROOT / "models")), 10, 1, "float32")
        self.pictures = crops_of_photos(PICTURES)
        grey = [save(picture.convert("L"), "PNG") for picture in self.pictures]
        colour = [save(picture, "PNG") for picture in self.pictures]
        self.expected = {True: self.rank(grey), False: self.rank(colour)}

    def rank(self, files: list[bytes]) -> list[Ranking]:
        how = self.model.preprocessing
        pixels = [read_pixels(data, LIMITS, how) for data in files]
        return self.model.rank(pixels, len(self.model.labels))


@pytest.fixture(scope="module")
def eye() -> Eye:
    return Eye()


def shift(way: Way) -> float:
    """How far a score may move: some for what a resize does, more for each step of the pixels."""
    return 0.02 + 0.05 * way.tolerance


def lead(ranking: Ranking) -> float:
    return ranking[0].score - ranking[1].score


def score(ranking: Ranking, index: int) -> float:
    return next(entry.score for entry in ranking if entry.index == index)


def test_most_pictures_have_a_label_that_is_clear(eye: Eye) -> None:
    for rankings in eye.expected.values():
        assert sum(lead(ranking) > 0.1 for ranking in rankings) >= 0.6 * PICTURES
    assert len({ranking[0].label for ranking in eye.expected[False]}) >= 3


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.name)
@pytest.mark.filterwarnings("ignore")
def test_label_is_that_of_the_original(way: Way, eye: Eye) -> None:
    found = eye.rank([way.write(picture) for picture in eye.pictures])
    for ranking, expected in zip(found, eye.expected[way.grey], strict=True):
        first = expected[0]
        assert abs(score(ranking, first.index) - first.score) <= shift(way)
        if lead(expected) > shift(way):
            assert ranking[0].label == first.label
