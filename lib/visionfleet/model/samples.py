"""The pictures on which runtimes and precisions are compared, and int8 is calibrated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image, ImageOps

from visionfleet.config.schema import ImagesSection
from visionfleet.errors import BadModel
from visionfleet.evaluation import datasets
from visionfleet.imaging.decode import Photo
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.imaging.preprocess import prepare, readable_pixels

# float32 on so many pictures takes most of a trial's time.
_MOST_COMPARED = 256
_MOST_FITTED = 300
# Random crops of the built-in photos for each purpose, and their share of the shorter side. Nearly
# whole ones are compared, as every precision is unsure about small pieces. int8 is calibrated on
# pieces of any size: calibrated on nearly whole ones, it lowers the default model's scores by 0.06.
_CROPS = 128
_COMPARED_SHARES, _FITTED_SHARES = (0.8, 1.0), (0.15, 1.0)
# Tolerant, as three of four photos show what ImageNet has two names for: a tabby is a tiger cat,
# too.
_TIE = 0.1
PHOTOS = Path(__file__).parent / "photos"
# The fewest pictures for the calibration of int8.
LEAST_FITTED = 32


@dataclass(frozen=True, slots=True)
class Samples:
    """`targets` are the classes of `compared`, if known; `fitted` is for int8, and may be empty.

    Classes whose float32 probabilities differ by less than `tie` may change places. `own`: they are
    the user's, and show what a precision loses on such images.
    """

    compared: Sequence[Pixels]
    fitted: Sequence[Pixels] = ()
    targets: Sequence[int] | None = None
    tie: float = 0.01
    own: bool = True


def built_in(how: Preprocessing) -> Samples:
    """Crops of four free photos."""
    photos = [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]
    random = Random(1)
    compared, fitted = (
        [
            prepare(Photo(_crop(photos[number % len(photos)], random, shares)), how)
            for number in range(_CROPS)
        ]
        for shares in (_COMPARED_SHARES, _FITTED_SHARES)
    )
    return Samples(compared, fitted, tie=_TIE, own=False)


def _crop(photo: Image.Image, random: Random, shares: tuple[float, float]) -> Image.Image:
    side = min(photo.size) * random.uniform(*shares)
    left, top = (random.uniform(0, whole - side) for whole in photo.size)
    piece = photo.crop((round(left), round(top), round(left + side), round(top + side)))
    return ImageOps.mirror(piece) if random.random() < 0.5 else piece


def from_folder(
    folder: Path, labels: tuple[str, ...], how: Preprocessing, limits: ImagesSection
) -> Samples:
    """Read images; folders named by labels give their classes.

    Every second image is for calibration, the others for comparison. Raises BadModel.
    """
    try:
        whole = list(datasets.read_any(folder, 2 * _MOST_FITTED))
        indices = _indices({item.folder for item in whole}, labels)
    except (datasets.BadDataset, OSError) as error:
        raise BadModel(f"model.samples: {error}") from error
    looked = ((item, readable_pixels(item.data, limits, how)) for item in whole)
    read = [(item, pixels) for item, pixels in looked if pixels is not None]
    if not read:
        raise BadModel(f"model.samples: {folder}: no images in it")
    compared = read[::2][:_MOST_COMPARED]
    targets = [indices[item.folder] for item, _ in compared] if indices else None
    return Samples(
        [pixels for _, pixels in compared], [pixels for _, pixels in read[1::2]], targets
    )


def _indices(folders: set[str], labels: tuple[str, ...]) -> dict[str, int] | None:
    try:
        return datasets.class_indices(folders, labels)
    except datasets.BadDataset:
        return None
