"""A mix of uploads as people make them, good and bad, with the share of each kind."""

import numpy as np
from PIL import Image

from testkit.images.hostile_files import png
from testkit.images.pictures import encoded, photo

# Much has the size of a screen or of a thumbnail, some comes straight from a camera.
SHARES = {
    "thumbnail 64x64 JPEG": 20,
    "icon 32x32 PNG": 10,
    "photo 500x375 JPEG": 40,
    "photo 1280x960 JPEG": 20,
    "drawing 800x600 RGBA PNG": 8,
    "camera 4000x3000 JPEG": 1.5,
    "scan 3000x2000 PNG": 0.5,
}
BAD_SHARES = {"truncated": 3, "text": 2, "empty": 1, "missing": 2, "bomb": 2}


def good_uploads() -> dict[str, bytes]:
    """The good images, by kind."""
    return {
        "thumbnail 64x64 JPEG": photo(64, 64),
        "icon 32x32 PNG": encoded(_clouds("RGB", 32, 32)),
        "photo 500x375 JPEG": photo(500, 375),
        "photo 1280x960 JPEG": photo(1280, 960),
        "drawing 800x600 RGBA PNG": encoded(_clouds("RGBA", 800, 600)),
        "camera 4000x3000 JPEG": photo(4000, 3000),
        "scan 3000x2000 PNG": encoded(_clouds("RGB", 3000, 2000)),
    }


def bad_uploads() -> dict[str, bytes | None]:
    """What cannot be classified; None is an image that is not there."""
    whole = photo(1280, 960)
    return {
        "truncated": whole[: len(whole) // 2],
        "text": b"not an image at all",
        "empty": b"",
        "missing": None,
        "bomb": png(60_000, 60_000),
    }


def _clouds(mode: str, width: int, height: int) -> Image.Image:
    """Soft shapes of a few pixels, drawn large."""
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, len(mode)), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
