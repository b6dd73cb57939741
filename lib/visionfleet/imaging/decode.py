"""The one gate for uploaded bytes: a light check of the header, and the full decode.

Pure: bytes in, an answer or BadImage out. The order of the checks follows the security
chapter of Pillow's handbook: size, format allow-list, dimensions, only then pixels.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from PIL import Image, ImageOps, UnidentifiedImageError

from visionfleet.errors import BadImage

# How many times the side that the model wants a JPEG keeps at the least when it is decoded at a
# reduced size. Twice as many changed 6 % of the answers (`make bench-draft`).
_DRAFT_MARGIN = 8

CONTENT_TYPES = {
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}


class ImageLimits(Protocol):
    """What an image may be at the most. `formats` are names as Pillow spells them."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def formats(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that are no section of a configuration."""

    max_bytes: int
    max_pixels: int
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of an image say of it; width and height in pixels."""

    format: str
    width: int
    height: int

    @property
    def content_type(self) -> str:
        """Media type of the format."""
        return CONTENT_TYPES.get(self.format, "application/octet-stream")


def check_header(data: bytes, limits: ImageLimits) -> Header:
    """Look at the header without decoding a pixel; cheap enough for every upload.

    Raises BadImage with code `empty`, `too_large`, `not_an_image` or `too_many_pixels`.
    """
    with _open(data, limits) as image:
        return Header(image.format or "", *image.size)


def decode(data: bytes, limits: ImageLimits, shorter_side: int | None = None) -> Image.Image:
    """Decode the first frame upright, without transparency, as RGB.

    `shorter_side` allows a JPEG to be decoded at a reduced size, never below eight times
    that many pixels: a stronger reduction in the decoder changes what the resize then averages.
    Raises BadImage with the codes of `check_header` and `cannot_be_decoded`.
    """
    with _open(data, limits) as image:
        if shorter_side is not None:
            image.draft("RGB", _draft_size(image.size, _DRAFT_MARGIN * shorter_side))
        try:
            image.load()
            return _flatten(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, MemoryError) as error:
            raise BadImage("cannot_be_decoded", f"the image cannot be decoded: {error}") from error


@contextmanager
def _open(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    if not data:
        raise BadImage("empty", "the file is empty")
    if len(data) > limits.max_bytes:
        raise BadImage(
            "too_large", f"the file has {len(data)} bytes, the limit is {limits.max_bytes}"
        )
    with _identify(data, limits) as image:
        _check_pixels(*image.size, limits.max_pixels)
        yield image


def _identify(data: bytes, limits: ImageLimits) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=limits.formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage("too_many_pixels", str(error)) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        known = ", ".join(limits.formats)
        raise BadImage("not_an_image", f"the file is not an image of type {known}") from error


def _check_pixels(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise BadImage(
            "too_many_pixels", f"the image has {width}x{height} pixels, the limit is {max_pixels}"
        )


def _draft_size(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    # 4000x3000 for a shorter side of 256 asks for 341x256; libjpeg takes the next larger of
    # 1/2, 1/4 and 1/8, here 1/8: 500x375.
    scale = shorter_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in {"I;16", "I;16B", "I;16L", "I"}:
        # Pillow clips 16-bit grey to 255 when it converts, which turns it white.
        return image.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "La", "RGBa"} or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
