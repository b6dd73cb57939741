"""How the numbers of a file are meant, where the mode of Pillow does not say it. No numpy here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from visionfleet.errors import BadImage

DEEP_GREY = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}
_BITS_PER_SAMPLE, _COMPRESSION, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 259, 262, 339  # of TIFF 6.0
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
_FAX = {2, 3, 4, 32771}  # compressions that begin with white
_LARGEST_NUMBER = 2.0**32 - 1


@dataclass(frozen=True, slots=True)
class Tones:
    white: float = 0.0  # in greys of more than eight bits
    inverted: bool = False  # white is black, and black white
    unsigned: bool = False  # 32 bits that Pillow takes for a number with a sign
    alpha_may_be_unset: bool = False
    clear: int | None = None  # the grey of more than eight bits that is transparent


def tones_of(image: Image.Image) -> Tones:
    """Read them off a loaded image; raises BadImage for a range whose white is not known."""
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
    """Tell what Pillow leaves to be inverted, and what it inverts without having been told to."""
    if image.format != "TIFF":
        return False
    photometric = _tag(image, _PHOTOMETRIC)
    if image.mode in DEEP_GREY or image.mode in {"LA", "La"} or _has_extra_samples(image):
        return photometric == _WHITE_IS_ZERO
    return photometric is None and image.mode == "L" and _tag(image, _COMPRESSION, 1) not in _FAX


def _has_extra_samples(image: Image.Image) -> bool:
    return image.mode == "L" and len(tags(image, _BITS_PER_SAMPLE)) > 1


def _white(image: Image.Image, unsigned: bool) -> float:
    """Tell which value is white: by the bits of whole numbers, by the largest of others."""
    if image.mode.startswith("I;16"):
        return float((1 << (_tag(image, _BITS_PER_SAMPLE) or 16)) - 1)
    darkest, brightest = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    if unsigned and darkest < 0:
        return _LARGEST_NUMBER
    steps = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, _LARGEST_NUMBER)
    # Comparisons with a value that is no number are false.
    white = next((step for step in steps if darkest >= 0 and brightest <= step), None)
    if white is None:
        reason = f"its values from {darkest:g} to {brightest:g} have no known white"
        raise BadImage("cannot_be_decoded", f"the image cannot be decoded: {reason}")
    return white


def tags(image: Image.Image, tag: int) -> Sequence[Any]:
    """Read the values of a tag of a TIFF; none where it has none."""
    found = getattr(image, "tag_v2", {}).get(tag, ())
    return found if isinstance(found, (tuple, bytes)) else (found,)


def _tag(image: Image.Image, tag: int, default: int | None = None) -> int | None:
    found = tags(image, tag)
    return found[0] if found and isinstance(found[0], int) else default
