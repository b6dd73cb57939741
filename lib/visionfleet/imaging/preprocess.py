"""From a decoded photo to a model's input. Pure: Pillow in, numpy out.

The geometry of torchvision's ImageClassification preset, with which its weights were validated, in
one step from the visible square of the source: values differ by at most 1 of 255.
"""

import math

import numpy as np
from PIL import Image

from visionfleet.errors import BadImage
from visionfleet.imaging import colour
from visionfleet.imaging.decode import ImageLimits, Photo, decode, undecodable
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.imaging.orientation import TRANSPOSE

_Box = tuple[float, float, float, float]

# With the filter's radius, in pixels of the result when shrinking.
_RESAMPLING = {
    "bilinear": (Image.Resampling.BILINEAR, 1),
    "bicubic": (Image.Resampling.BICUBIC, 2),
    "lanczos": (Image.Resampling.LANCZOS, 3),
}


def pixels_of(data: bytes, limits: ImageLimits, how: Preprocessing) -> Pixels:
    """Decode and prepare the image in a file; raises BadImage."""
    return prepare(decode(data, limits, how.resize), how)


def readable_pixels(data: bytes, limits: ImageLimits, how: Preprocessing) -> Pixels | None:
    try:
        return pixels_of(data, limits, how)
    except BadImage:
        return None


def prepare(photo: Photo, how: Preprocessing) -> Pixels:
    """An array of crop x crop x 3 bytes, normalized later by batch; raises BadImage."""
    with undecodable():
        # Of the whole size: a reduced picture may exceed it by less than a pixel.
        box = stored_box(photo.size, photo.orientation, how)
        left, top, right, bottom = (side / photo.reduced for side in box)
        square = _resample(photo, (left, top, right, bottom), how)
        seen = colour.to_srgb(square, photo.space)
        turn = TRANSPOSE.get(photo.orientation)
        upright = seen if turn is None else seen.transpose(turn)
        return np.asarray(upright, dtype=np.uint8)


def stored_box(size: tuple[int, int], orientation: int, how: Preprocessing) -> _Box:
    """The square that a model sees, in pixels of the stored picture."""
    sideways = orientation >= 5
    width, height = reversed(size) if sideways else size
    left, top, right, bottom = _centre(width, height, how)
    # The corners of the upright picture, transformed to the stored one.
    if orientation in {2, 3, 7, 8} if not sideways else orientation in {6, 7}:
        left, right = width - right, width - left
    if orientation in {3, 4} or orientation in {7, 8}:
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if sideways else (left, top, right, bottom)


def _centre(width: int, height: int, how: Preprocessing) -> _Box:
    # 640x480 to a shorter side of 256: 341x256, the longer side is rounded down.
    shorter = min(width, height)
    across = max(how.resize, int(how.resize * width / shorter))
    down = max(how.resize, int(how.resize * height / shorter))
    left, top = round((across - how.crop) / 2), round((down - how.crop) / 2)
    x, y = width / across, height / down
    return left * x, top * y, (left + how.crop) * x, (top + how.crop) * y


def _resample(photo: Photo, box: _Box, how: Preprocessing) -> Image.Image:
    """Resize the box to the square, converting no more of the picture than needed."""
    image = photo.image
    resampling, radius = _RESAMPLING[how.interpolation]
    reach = [math.ceil(radius * max(1.0, (box[2 + i] - box[i]) / how.crop)) + 1 for i in (0, 1)]
    left, top = (max(0, math.floor(box[i]) - reach[i]) for i in (0, 1))
    right, bottom = (min(image.size[i], math.ceil(box[2 + i]) + reach[i]) for i in (0, 1))
    if 2 * (right - left) * (bottom - top) > image.width * image.height:
        left, top, near = 0, 0, image  # copying most of it would cost more than it saves
    else:
        near = image.crop((left, top, right, bottom))
    inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return colour.resampled_mode(near, photo.tones).resize(
        (how.crop, how.crop), resampling, box=inner
    )
