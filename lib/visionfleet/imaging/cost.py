"""Limits the cost of decoding; measured by `python -m bench.decode_cost`."""

from PIL import Image

from visionfleet.errors import BadImage
from visionfleet.imaging import gif, jpeg, tiff

MAX_DECODE_BYTES = 370 << 20
# The limit of pixels of a progressive JPEG over all its scans, about 10 ns each.
MAX_SCANNED_PIXELS = 1_000_000_000

# Bytes per pixel including conversions: Pillow uses four for each of three or four channels.
_MODE_BYTES = {
    "1": 2,
    "L": 1,
    "I;16": 4,
    "I;16B": 4,
    "I;16L": 4,
    "I": 5,
    "F": 5,
    "P": 5,
    "RGB": 4,
    "RGBX": 4,
    "CMYK": 4,
    "YCbCr": 4,
    "LAB": 4,
}
_ALPHA_BYTES = 8
_TRANSPARENT_COLOUR_BYTES = 12
# Pillow keeps a pointer per row, and decoders two rows of at most this many bytes per pixel.
_ROW_BYTES, _COLUMN_BYTES = 8, 16
# The decoders' overhead, in bytes per pixel.
_FORMAT_BYTES = {"WEBP": 13, "AVIF": 7, "HEIF": 7, "TIFF": 4, "GIF": 1}


def check_cost(image: Image.Image, data: bytes, size: tuple[int, int]) -> None:
    """Check an image with `size` in its header; raises BadImage with code `too_many_pixels`."""
    transparent = "transparency" in image.info or not gif.covers_canvas(image)
    pixel = _TRANSPARENT_COLOUR_BYTES if transparent else _MODE_BYTES.get(image.mode, _ALPHA_BYTES)
    pixel += _FORMAT_BYTES.get(image.format or "", 0)
    needed = image.width * image.height * pixel
    needed += image.height * _ROW_BYTES + image.width * _COLUMN_BYTES
    if image.format == "TIFF":
        needed += tiff.tile_bytes(image)
    if image.format in {"JPEG", "MPO"}:
        needed += jpeg.coefficient_bytes(image, size)
        scanned = jpeg.scans(image, data) * size[0] * size[1]
        _bound("decodes", scanned, MAX_SCANNED_PIXELS, "pixels in all its scans")
    _bound("takes", needed, MAX_DECODE_BYTES, "bytes to be decoded")


def _bound(verb: str, needed: int, limit: int, of: str) -> None:
    if needed > limit:
        raise BadImage("too_many_pixels", f"the image {verb} {needed} {of}, the limit is {limit}")
