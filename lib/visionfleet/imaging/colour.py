"""Converts pixels of any mode to 8-bit sRGB as seen on a screen.

To save memory and time, `resampled_mode` is applied before the resize, and `to_srgb` to the few
pixels after it.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageCms

from visionfleet.imaging import icc
from visionfleet.imaging.colour_space import Primaries
from visionfleet.imaging.tones import DEEP_GREY, Tones

_ALPHA = {"RGBA", "LA", "PA", "La", "RGBa"}
_STRIP_ROWS = 256
# Colour spaces of ICC profiles, by Pillow mode.
_PROFILE_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
_LARGEST_PROFILE_BYTES = 4 << 20
_UNSEEN_DIFFERENCE = 2  # of 255: a profile that changes all colours by less counts as sRGB


def resampled_mode(image: Image.Image, tones: Tones) -> Image.Image:
    if image.mode in DEEP_GREY:
        return _eight_bits(image, tones)
    if image.mode == "PA" or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in {"1", "P"}:
        return image.convert("L" if image.mode == "1" else "RGB")
    if tones.inverted:
        return _inverted(image)
    if image.mode in {"RGBA", "LA"} and tones.alpha_may_be_unset and _all_clear(image):
        return image.convert(image.mode[:-1])  # the padding bytes are undefined
    return image


def to_srgb(image: Image.Image, space: bytes | Primaries | None) -> Image.Image:
    """Apply the colour profile, and composite transparency on white."""
    if image.mode not in _ALPHA:
        return _profiled(image, space)
    straight = image.convert("LA" if image.mode in {"LA", "La"} else "RGBA")
    opaque = _profiled(straight.convert(straight.mode[:-1]), space)
    white = Image.new("RGB", image.size, "white")
    return Image.composite(opaque, white, straight.getchannel("A"))


def _all_clear(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (0, 0)


def _inverted(image: Image.Image) -> Image.Image:
    if image.mode == "L":
        return ImageChops.invert(image)
    grey, alpha = image.convert("LA").split()
    if alpha.getextrema() == (0, 0):
        return ImageChops.invert(grey)
    return Image.merge("LA", (ImageChops.invert(grey), alpha))


def _eight_bits(image: Image.Image, tones: Tones) -> Image.Image:
    scale = 255 / tones.white
    made = Image.new("L" if tones.clear is None else "LA", image.size)
    for top in range(0, image.height, _STRIP_ROWS):  # strips limit the memory of four-byte samples
        rows = (0, top, image.width, min(image.height, top + _STRIP_ROWS))
        values = np.asarray(image.crop(rows))
        values = values.view(np.uint32) if tones.unsigned else values
        grey = np.clip(values.astype(np.float32) * np.float32(scale) + 0.5, 0, 255).astype(np.uint8)
        strip = Image.fromarray(255 - grey if tones.inverted else grey)
        if tones.clear is not None:
            strip = Image.merge("LA", (strip, Image.fromarray(_opaque(values, tones.clear))))
        made.paste(strip, (0, top))
    return made


def _opaque(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], clear: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.where(values == clear, 0, 255).astype(np.uint8)


def _profiled(image: Image.Image, space: bytes | Primaries | None) -> Image.Image:
    kind = _PROFILE_SPACES.get(image.mode)
    if isinstance(space, Primaries) and kind == "GRAY":
        image, kind = image.convert("RGB"), "RGB"
    if space and kind and not (isinstance(space, bytes) and len(space) > _LARGEST_PROFILE_BYTES):
        transform = _transform(space, image.mode, kind)
        if transform is not None:
            return transform.apply(image)
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=32)
def _transform(space: bytes | Primaries, mode: str, kind: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB (takes 5 ms); None for an sRGB or unusable profile."""
    try:
        profile = icc.profile(space) if isinstance(space, Primaries) else space
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if given.profile.xcolor_space.strip() != kind:
            return None
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        made = ImageCms.ImageCmsTransform(given, srgb, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
        return None if kind == "RGB" and _changes_nothing(made) else made
    except (OSError, ValueError, TypeError, ArithmeticError, ImageCms.PyCMSError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    changed = np.asarray(transform.apply(Image.fromarray(colours)))
    return int(np.abs(changed.astype(int) - colours).max()) <= _UNSEEN_DIFFERENCE
