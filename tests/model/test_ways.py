"""The label of a picture does not depend on the way in which it was written."""

from dataclasses import replace

import pytest

from testkit.images.model_files import at_work
from testkit.images.pictures import crops_of_photos
from testkit.images.reading import Limits, read_pixels
from testkit.images.ways import Way, save, ways
from visionfleet.config import Config
from visionfleet.config.classifier import ModelSection
from visionfleet.contract.messages import Ranked
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch

LIMITS = Limits(20_000_000, 50_000_000, Config().images.formats)
PICTURES = 10
FEW_COLOURS = 20  # with so many steps of difference a picture may be another for the model
WAYS = [way for way in ways() if way.tolerance < FEW_COLOURS]
Ranking = tuple[Ranked, ...]


class Eye:
    """The default model at half its size, and what it says of the pictures in colours and grey."""

    def __init__(self) -> None:
        whole = load(ModelSection())
        small = replace(whole.preprocessing, resize=128, crop=112)
        self.model = at_work(replace(whole, preprocessing=small), PICTURES, 2, "float32", "torch")
        self.known: dict[bytes, Ranking] = {}
        self.pictures = crops_of_photos(PICTURES)
        grey = [save(picture.convert("L"), "PNG") for picture in self.pictures]
        colour = [save(picture, "PNG") for picture in self.pictures]
        self.expected = {True: self.rank(grey), False: self.rank(colour)}

    def rank(self, files: list[bytes]) -> list[Ranking]:
        how = self.model.preprocessing
        pixels = {(p := read_pixels(data, LIMITS, how)).tobytes(): p for data in files}
        new = [key for key in pixels if key not in self.known]
        if new:
            rankings = self.model.rank([pixels[key] for key in new], len(self.model.labels))
            self.known |= dict(zip(new, rankings, strict=True))
        return [self.known[key] for key in pixels]


@pytest.fixture(scope="module")
def eye() -> Eye:
    return Eye()


def shift(way: Way) -> float:
    """How far a score may move: some for what a resize does, more for each step of the pixels."""
    return 0.02 + 0.05 * way.tolerance


def is_clear(ranking: Ranking) -> bool:
    """Tell a picture of which the model is sure; of others any new JPEG changes the label."""
    return ranking[0].score - ranking[1].score > 0.9


def score(ranking: Ranking, index: int) -> float:
    return next(entry.score for entry in ranking if entry.index == index)


def test_most_pictures_have_a_clear_label(eye: Eye) -> None:
    for rankings in eye.expected.values():
        assert sum(map(is_clear, rankings)) >= 0.6 * PICTURES
    assert len({ranking[0].label for ranking in eye.expected[False]}) >= 3


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
@pytest.mark.filterwarnings("ignore")
def test_label_is_that_of_the_original(way: Way, eye: Eye) -> None:
    found = eye.rank([way.write(picture) for picture in eye.pictures])
    for ranking, expected in zip(found, eye.expected[way.grey], strict=True):
        first = expected[0]
        if is_clear(expected):
            assert ranking[0].label == first.label
            assert abs(score(ranking, first.index) - first.score) <= shift(way)
