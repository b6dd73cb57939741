"""From a decoded image to the pixels a model wants. Pure: Pillow in, numpy out.

The geometry is that of torchvision's ImageClassification preset, so its published weights see
the images they were validated on: resize the shorter side, then cut the centre square.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Sides in pixels; mean and std per channel, for values from 0 to 1."""

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            known = ", ".join(_RESAMPLING)
            raise ValueError(f"unknown interpolation {self.interpolation!r}; known: {known}")


def prepare(image: Image.Image, how: Preprocessing) -> Pixels:
    """Turn an RGB image into crop x crop x 3 bytes; normalising is left to the whole batch."""
    resized = _resize(image, how.resize, _RESAMPLING[how.interpolation])
    return np.asarray(_centre(resized, how.crop), dtype=np.uint8)


def _resize(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    width, height = image.size
    if min(width, height) == side:
        return image
    # 640x480 to a shorter side of 256: 341x256, the longer side rounded down.
    if width <= height:
        size = (side, max(side, int(side * height / width)))
    else:
        size = (max(side, int(side * width / height)), side)
    return image.resize(size, resampling)


def _centre(image: Image.Image, side: int) -> Image.Image:
    left = round((image.width - side) / 2)
    top = round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
