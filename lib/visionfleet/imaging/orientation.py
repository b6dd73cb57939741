"""The Orientation tag of EXIF, parsed separately and tolerantly.

Malformed entries beside it do not matter; XMP is ignored, as by other viewers.
"""

from PIL import Image

from visionfleet.imaging.tones import tags

_ORIENTATION = 0x0112
# Integer types of EXIF 3.0, table 4: size in bytes, signed.
_INTEGERS = {1: (1, False), 3: (2, False), 4: (4, False), 6: (1, True), 8: (2, True), 9: (4, True)}
_ENTRY_BYTES = 12
_HEADERS = {b"II*\x00": "little", b"MM\x00*": "big"}

# The transposition to upright.
TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(image: Image.Image) -> int:
    """The orientation of an opened image, 1 to 8; 1 (upright) if unreadable."""
    if image.format == "TIFF":
        found = tags(image, _ORIENTATION)
        return found[0] if found and found[0] in TRANSPOSE else 1
    return read_orientation(image.info.get("exif") or b"")


def read_orientation(exif: bytes) -> int:
    """The orientation in an EXIF block, with or without its `Exif` header."""
    start = min((at for at in map(exif.find, _HEADERS) if 0 <= at <= 12), default=None)
    if start is None:
        return 1
    tiff, order = exif[start:], _HEADERS[exif[start : start + 4]]

    def number(at: int, size: int, signed: bool = False) -> int:
        return int.from_bytes(tiff[at : at + size], order, signed=signed)  # type: ignore[arg-type]

    directory = number(4, 4)
    for index in range(number(directory, 2)):
        entry = directory + 2 + _ENTRY_BYTES * index
        if entry + _ENTRY_BYTES > len(tiff):
            break
        if number(entry, 2) == _ORIENTATION and (kind := _INTEGERS.get(number(entry + 2, 2))):
            value = number(entry + 8, *kind)
            if 1 <= value <= 8:
                return value
    return 1
