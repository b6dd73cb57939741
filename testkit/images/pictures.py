"""Pictures for tests, made on the spot."""

import io
from random import Random

import numpy as np
from PIL import Image

from visionfleet.local.sample_images import random_crop, shipped_photos


def numbered(number: int, side: int = 32) -> Image.Image:
    """Make a square picture of noise that is like no other number's."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(noise)


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    """Write a picture to bytes."""
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def photo(width: int = 640, height: int = 480) -> bytes:
    """Make a JPEG with large shapes and some noise, like a photo in size and content."""
    across = np.linspace(0, 255, width)[None, :, None]
    down = np.linspace(0, 255, height)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 30, (height, width, 3))
    pixels = np.clip((across + down) / 2 + noise, 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=90)


def crops_of_photos(count: int) -> list[Image.Image]:
    """Cut crops of real photos, none of them square, and no side of one like another."""
    random, photos = Random(7), list(shipped_photos().values())
    opened = [Image.open(path).convert("RGB") for path in photos]
    crops = [random_crop(opened[number % len(opened)], random) for number in range(count)]
    return [crop.resize((240, 180)) for crop in crops]
