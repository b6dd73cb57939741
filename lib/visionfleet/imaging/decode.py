"""The entry point for uploaded bytes: a cheap header check, and the full decode.

Pure, and in the order of Pillow's security chapter: size, formats, dimensions, cost, then pixels.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import pi_heif

# All accepted formats: if one is missing, Pillow imports its forty plugins at the first image.
from PIL import (  # noqa: F401
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from visionfleet.errors import BadImage
from visionfleet.imaging import gif, jpeg, png, tiff, webp
from visionfleet.imaging.colour_space import Primaries, colour_space
from visionfleet.imaging.cost import check_cost
from visionfleet.imaging.formats import CONTENT_TYPES, is_accepted, name_of
from visionfleet.imaging.orientation import orientation_of
from visionfleet.imaging.tones import Tones, tones_of

# The least ratio of a reduced JPEG's side to the model's input. With four, pixels differ by at most
# 2 of 255 and 0.2 on average, a tenth of the effect of saving a photo again; with two by 10 and
# 0.6.
_DRAFT_MARGIN = 4
# The shorter side assumed in header checks, where the model is unknown.
_USUAL_SIDE = 256
# Pillow counts bytes of its buffer, which says nothing about the file.
_CUT = re.compile(r"image file is truncated( \(\d+ bytes not processed\))?")

# Describes variants of these formats in error messages.
_KIND_OF = {"JPEG": jpeg.kind_of, "TIFF": tiff.kind_of}

# Dimensions and cost are limited here; Pillow's own limit considers only pixels.
Image.MAX_IMAGE_PIXELS = None
pi_heif.register_heif_opener(thumbnails=False)


class ImageLimits(Protocol):
    """The limits of an image. `formats` are Pillow's names."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def max_pixels(self) -> int: ...
    @property
    def formats(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an image; width and height in pixels."""

    format: str
    width: int
    height: int

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES.get(self.format, "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded image as stored: not rotated, in its own colours.

    A pixel of a `reduced` one represents so many in each direction of the `whole` size.
    """

    image: Image.Image
    orientation: int = 1
    space: bytes | Primaries | None = None
    tones: Tones = field(default_factory=Tones)
    reduced: int = 1
    whole: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.whole or self.image.size


def check_header(data: bytes, limits: ImageLimits) -> Header:
    """Check the header without decoding pixels. Raises BadImage with a code:

    `empty`, `too_large`, `not_an_image`, `too_many_pixels` or `cannot_be_decoded`.
    """
    data = jpeg.without_padding(data)
    with _open(data, limits) as image, undecodable():
        size = image.size
        _reduce(image, _USUAL_SIDE)
        check_cost(image, data, size)
        return Header(image.format or "", *size)


def decode(data: bytes, limits: ImageLimits, shorter_side: int | None = None) -> Photo:
    """Decode the first picture of a file; raises BadImage with the codes of `check_header`.

    `shorter_side` allows decoding a JPEG at a reduced size of at least four times that: a stronger
    reduction in the decoder would change the result of the resize.
    """
    data = jpeg.without_padding(data)
    with _open(data, limits) as image, undecodable():
        size, reduced = image.size, 1
        if shorter_side is not None:
            reduced = _reduce(image, shorter_side)
        check_cost(image, data, size)
        png.mend_transparency(image, data)
        loaded = _load(image, data)
        space, tones = colour_space(image, data), tones_of(image)
        whole = size if reduced > 1 else None
        return Photo(loaded, orientation_of(image), space, tones, reduced, whole)


def _load(image: Image.Image, data: bytes) -> Image.Image:
    if image.format == "TIFF":
        return tiff.load(image)
    if image.format == "PNG":
        return png.load(image, data)
    return gif.load(image) if image.format == "GIF" else jpeg.load(image, data)


@contextmanager
def undecodable() -> Iterator[None]:
    """Turn any exception of a decoder into BadImage: malformed files cause all kinds."""
    try:
        yield
    except BadImage:
        raise
    except Exception as error:
        reason = _CUT.sub("the file is cut short", str(error)) or type(error).__name__
        raise BadImage("cannot_be_decoded", f"the image cannot be decoded: {reason}") from error


@contextmanager
def _open(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    if not data:
        raise BadImage("empty", "the file is empty")
    if len(data) > limits.max_bytes:
        raise BadImage(
            "too_large", f"the file has {len(data)} bytes, the limit is {limits.max_bytes}"
        )
    gif.check_parts(data)
    with _identify(data, limits) as image:
        width, height = image.size
        if width * height > limits.max_pixels:
            size = f"the image has {width}x{height} pixels"
            raise BadImage("too_many_pixels", f"{size}, the limit is {limits.max_pixels}")
        yield image


def _identify(data: bytes, limits: ImageLimits) -> Image.Image:
    needed = tiff.openable(webp.with_alpha(png.picture_only(data)))
    try:
        return Image.open(io.BytesIO(needed), formats=limits.formats)
    except Exception as error:
        name = name_of(data)
        if name == "a JPEG file" and is_accepted(name, limits.formats):
            with suppress(Exception):
                return Image.open(io.BytesIO(jpeg.picture_only(data)), formats=limits.formats)
        reason = _refusal(name, limits.formats) + _fault(needed, limits.formats)
        raise BadImage("not_an_image", reason) from error


def _refusal(name: str, formats: tuple[str, ...]) -> str:
    known = ", ".join(formats)
    if not name:
        return f"the file is not an image of type {known}"
    if is_accepted(name, formats):
        return f"this begins like {name}, and cannot be read as one"
    return f"this is {name}; accepted are {known}"


def _fault(data: bytes, formats: tuple[str, ...]) -> str:
    """The message of the plugin for the file's signature, which Pillow hides."""
    for format_ in formats:
        read, accepts = Image.OPEN.get(format_, (None, None))
        if read and accepts and accepts(data[:16]) is True:
            try:
                read(io.BytesIO(data), "")
            except Exception as error:
                kind = _KIND_OF[format_](data) if format_ in _KIND_OF else ""
                said = f"{error} is unknown" if isinstance(error, KeyError) else str(error)
                return f": {said} ({kind})" if kind else f": {said}"
    return ""


def _reduce(image: Image.Image, shorter_side: int) -> int:
    """Decode a JPEG at 1/2, 1/4 or 1/8; returns the divisor, 1 for other formats."""
    (width, height), share = image.size, _DRAFT_MARGIN * shorter_side / min(image.size)
    image.draft("RGB", (max(1, round(width * share)), max(1, round(height * share))))
    return round(max(width / image.width, height / image.height))
