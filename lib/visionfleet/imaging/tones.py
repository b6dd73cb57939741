"""The meaning of sample values where Pillow's mode does not define it. No numpy here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from visionfleet.errors import BadImage

DEEP_GREY = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 259, 262, 339  # TIFF 6.0 tags
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
_FAX = {2, 3, 4, 32771}  # fax compressions: 0 is white
_LARGEST_NUMBER = 2.0**32 - 1


@dataclass(frozen=True, slots=True)
class Tones:
    white: float = 0.0  # in greyscale of more than 8 bits
    inverted: bool = False  # 0 is white
    unsigned: bool = False  # 32-bit samples that Pillow takes as signed
    alpha_may_be_unset: bool = False
    clear: int | None = None  # transparent grey of more than 8 bits


def tones_of(image: Image.Image) -> Tones:
    """Determine them from a loaded image; raises BadImage for a range without a known white."""
    unsigned = image.mode == "I" and _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED
    deep = image.mode in DEEP_GREY
    clear = image.info.get("transparency") if deep else None
    return Tones(
        _white(image, unsigned) if deep else 0.0,
        _is_inverted(image),
        unsigned,
        image.format in {"BMP", "TIFF"},
        clear if isinstance(clear, int) else None,
    )


def _is_inverted(image: Image.Image) -> bool:
    """Whether Pillow has left the inversion to us, or has inverted without being asked."""
    if image.format != "TIFF":
        return False
    photometric = _tag(image, _PHOTOMETRIC)
    if image.mode in DEEP_GREY or image.mode in {"LA", "La"} or _has_extra_samples(image):
        return photometric == _WHITE_IS_ZERO
    return photometric is None and image.mode == "L" and _tag(image, _COMPRESSION, 1) not in _FAX


def _has_extra_samples(image: Image.Image) -> bool:
    return image.mode == "L" and len(tags(image, _BITS_PER_SAMPLE)) > 1


def _white(image: Image.Image, unsigned: bool) -> float:
    """The value of white: by the bits of integers, by the maximum of floats."""
    if image.mode.startswith("I;16"):
        return float((1 << (_tag(image, _BITS_PER_SAMPLE) or 16)) - 1)
    darkest, brightest = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    if unsigned and darkest < 0:
        return _LARGEST_NUMBER
    steps = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, _LARGEST_NUMBER)
    # Comparisons with NaN are false.
    white = next((step for step in steps if darkest >= 0 and brightest <= step), None)
    if white is None:
        reason = f"its values from {darkest:g} to {brightest:g} have no known white"
        raise BadImage("cannot_be_decoded", f"the image cannot be decoded: {reason}")
    return white


def tags(image: Image.Image, tag: int) -> Sequence[Any]:
    """The values of a TIFF tag; empty if missing."""
    found = getattr(image, "tag_v2", {}).get(tag, ())
    return found if isinstance(found, (tuple, bytes)) else (found,)


def _tag(image: Image.Image, tag: int, default: int | None = None) -> int | None:
    found = tags(image, tag)
    return found[0] if found and isinstance(found[0], int) else default
