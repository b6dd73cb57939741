"""From the pixels of any mode to what a person sees of them on a screen: eight bits of sRGB.

For memory and time, `resampled_mode` is before the resize and `to_srgb` on the few pixels left.
"""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, ImagePalette

from visionfleet.errors import BadImage

_BITS_PER_SAMPLE, _PHOTOMETRIC, _COLOR_MAP = 258, 262, 320  # tags of TIFF 6.0
_WHITE_IS_ZERO = 0
_DEEP_GREY = {"I;16", "I;16B", "I;16L", "I;16N", "I", "F"}
_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}
_STRIP_ROWS = 256
# Colour spaces of ICC profiles, by the modes that they describe.
_PROFILE_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_LARGEST_PROFILE_BYTES = 4 << 20


def mend_palette(image: Image.Image) -> None:
    """Read a TIFF's colour map as libtiff does: 0 to 255 where no entry is greater."""
    if image.format == "TIFF" and image.mode == "P":
        table = image.tag_v2.get(_COLOR_MAP, ())  # type: ignore[attr-defined]
        if table and max(table) < 256:
            image.palette = ImagePalette.raw("RGB;L", bytes(table))


@dataclass(frozen=True, slots=True)
class Tones:
    """How the numbers of a file are meant, where its mode does not say it."""

    white: float = 0.0  # in greys of more than eight bits
    inverted: bool = False  # white is black, and black white
    alpha_may_be_unset: bool = False


def tones_of(image: Image.Image) -> Tones:
    """Read them off a loaded image; raises BadImage for a range whose white is not known."""
    return Tones(
        _white(image) if image.mode in _DEEP_GREY else 0.0,
        image.mode in _DEEP_GREY and _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO,
        image.format in {"BMP", "TIFF"},
    )


def resampled_mode(image: Image.Image, tones: Tones) -> Image.Image:
    if image.mode in _DEEP_GREY:
        return _eight_bits(image, tones)
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "PA" or "transparency" in image.info:
        return image.convert("RGBA")
    if image.mode == "P":
        return image.convert("RGB")
    if image.mode == "RGBA" and tones.alpha_may_be_unset and _all_clear(image):
        return image.convert("RGB")  # bytes that nobody has set, and viewers do not look at
    return image


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Apply the colour profile, and lay what is transparent on white."""
    if image.mode not in _ALPHA:
        return _profiled(image, profile)
    straight = image.convert("LA" if image.mode in {"LA", "La"} else "RGBA")
    opaque = _profiled(straight.convert(straight.mode[:-1]), profile)
    white = Image.new("RGB", image.size, "white")
    return Image.composite(opaque, white, straight.getchannel("A"))


def _all_clear(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (0, 0)


def _eight_bits(image: Image.Image, tones: Tones) -> Image.Image:
    scale = 255 / tones.white
    made = Image.new("L", image.size)
    for top in range(0, image.height, _STRIP_ROWS):  # numbers of four bytes are many at once
        rows = (0, top, image.width, min(image.height, top + _STRIP_ROWS))
        values = np.clip(np.asarray(image.crop(rows), np.float32) * np.float32(scale) + 0.5, 0, 255)
        grey = values.astype(np.uint8)
        made.paste(Image.fromarray(255 - grey if tones.inverted else grey), (0, top))
    return made


def _white(image: Image.Image) -> float:
    """Tell which value is white: by the bits of whole numbers, by the largest of others."""
    if image.mode.startswith("I;16"):
        bits = _tag(image, _BITS_PER_SAMPLE) or 16
        return float((1 << bits) - 1)
    darkest, brightest = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    steps = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0, 4294967295.0)
    # Comparisons with a value that is no number are false.
    white = next((step for step in steps if darkest >= 0 and brightest <= step), None)
    if white is None:
        reason = f"its values from {darkest:g} to {brightest:g} have no known white"
        raise BadImage("cannot_be_decoded", f"the image cannot be decoded: {reason}")
    return white


def _tag(image: Image.Image, tag: int) -> int | None:
    found = getattr(image, "tag_v2", {}).get(tag)
    value = found[0] if isinstance(found, tuple) and found else found
    return value if isinstance(value, int) else None


def _profiled(image: Image.Image, profile: bytes | None) -> Image.Image:
    space = _PROFILE_SPACES.get(image.mode)
    if profile and space and len(profile) <= _LARGEST_PROFILE_BYTES:
        transform = _transform(profile, image.mode, space)
        if transform is not None:
            return transform.apply(image)
    return image.convert("RGB")


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str, space: str) -> ImageCms.ImageCmsTransform | None:
    """Make the way to sRGB, 5 ms; None for a profile that is sRGB, or cannot be used."""
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        known = (given.profile.profile_description or "").startswith("sRGB")
        if known or given.profile.xcolor_space.strip() != space:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        return ImageCms.ImageCmsTransform(given, srgb, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None
