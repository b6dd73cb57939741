"""Pictures that a model is tried on. Drawn, not shipped: no I/O here.

Overlapping discs of every size (`dead leaves`) have the edges and contrasts of photos; on noise
most models give one answer.
"""

from collections.abc import Iterator
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from visionfleet.imaging.model_input import Pixels

_CANVAS_SIDES = 4  # the side of the canvas, in sides of a picture
_LEAVES = 1500


def pictures(side: int) -> Iterator[Pixels]:
    random = Random(1)
    canvas = _canvas(side, random)
    while True:
        yield _picture(canvas, side, random)


def _canvas(side: int, random: Random) -> Image.Image:
    whole = _CANVAS_SIDES * side
    canvas = Image.new("RGB", (whole, whole), "grey")
    draw = ImageDraw.Draw(canvas)
    for _ in range(_LEAVES):
        # Radii from 1/30 side to a side; as many of a size as the inverse of its cube.
        radius = min(side / 30 / (1 - random.random()) ** 0.5, side)
        x, y = random.uniform(0, whole), random.uniform(0, whole)
        flat = random.uniform(0.4, 1.0)
        box = (x - radius, y - flat * radius, x + radius, y + flat * radius)
        draw.ellipse(box, fill=_colour(random))
    return canvas.filter(ImageFilter.BoxBlur(side / 224))


def _colour(random: Random) -> tuple[int, int, int]:
    light = random.uniform(0, 255)
    red, green, blue = (round(min(255, max(0, random.gauss(light, 35)))) for _ in range(3))
    return red, green, blue


def _picture(canvas: Image.Image, side: int, random: Random) -> Pixels:
    scale = random.uniform(0.5, 2.0)
    window = side * scale
    left, top = (random.uniform(0, canvas.width - window) for _ in range(2))
    box = (left, top, left + window, top + window)
    cut = canvas.resize((side, side), Image.Resampling.BILINEAR, box=box)
    if random.random() < 0.5:
        cut = cut.transpose(Image.Transpose.ROTATE_90)
    gains = [random.uniform(0.6, 1.3) for _ in range(3)]
    exposed: Pixels = (np.asarray(cut) * np.array(gains, np.float32)).clip(0, 255).astype(np.uint8)
    return exposed
