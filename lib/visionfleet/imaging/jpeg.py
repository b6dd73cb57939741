"""The decoding cost of JPEGs, and JPEGs without an end marker."""

import io
import re
import struct
from collections.abc import Iterator

from PIL import Image, ImageChops

from visionfleet.imaging.parts import bounded

_START = b"\xff\xd8"
_END = b"\xff\xd9"
START_OF_SCAN = b"\xff\xda"  # never occurs in compressed data
_OF_APPLICATIONS, _ADOBE, _ADOBE_BYTES = range(0xE0, 0xF0), 0xEE, 12
_KEPT = (b"Exif\0", b"ICC_PROFILE\0")
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}
# Starts of frames: SOF0 to SOF15 without those that are something else, and SOF55 of JPEG-LS.
_FRAMES, _FRAME_BYTES = (
    bytes([*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7]),
    8,
)
_FILL = re.compile(rb"\xff+")
_COEFFICIENT_BYTES = 2
# A complete picture's last blocks still depend on the data if so much is cut off.
_CUT_BYTES = 16


def without_padding(data: bytes) -> bytes:
    """Strip fill bytes between segments, which Pillow would read one by one.

    Raises BadImage for too many segments. Other formats are returned unchanged.
    """
    if not data.startswith(_START):
        return data
    parts = [*bounded(_segments(data))]
    if len(_START) + sum(part.stop - part.start for part in parts) == len(data):
        return data
    return b"".join([_START, *(data[part] for part in parts)])


def _segments(data: bytes) -> Iterator[slice]:
    """Iterate over the segments; the last is the rest from the first scan on, some are empty."""
    at = len(_START)
    while fill := _FILL.search(data, at):
        at = fill.end()
        if data[at - 1 : at + 1] == START_OF_SCAN:
            yield slice(at - 1, len(data))
            return
        if at == len(data):
            yield slice(at - 1, at)
            return
        if data[at] in _WITHOUT_LENGTH:
            yield slice(at, at)
            at += 1
            continue
        size = max(2, int.from_bytes(data[at + 1 : at + 3], "big"))
        yield slice(at - 1, at + 1 + size)
        at += 1 + size


def kind_of(data: bytes) -> str:
    """The variant by the frame header; empty without one."""
    for part in _segments(data):
        marker, bits = data[part.start + 1 : part.start + 2], data[part.start + 4 : part.start + 5]
        if part.stop - part.start > _FRAME_BYTES and marker in _FRAMES and bits:
            height, width = struct.unpack_from(">HH", data, part.start + 5)
            return f"SOF{marker[0] - _FRAMES[0]}, {bits[0]} bits, {width}x{height}"
    return ""


def picture_only(data: bytes) -> bytes:
    """Strip application segments except EXIF, ICC profile and Adobe.

    For files that Pillow refuses because of the contents of one, as no viewer does.
    """
    return b"".join([_START, *(data[part] for part in _segments(data) if _is_kept(data[part]))])


def _is_kept(segment: bytes) -> bool:
    kind, body = int.from_bytes(segment[1:2]), segment[4:]
    known = body.startswith(_KEPT) or (kind == _ADOBE and len(body) >= _ADOBE_BYTES)
    return kind not in _OF_APPLICATIONS or known


def load(image: Image.Image, data: bytes) -> Image.Image:
    """Decode an opened image, also a JPEG that lacks only its end marker."""
    try:
        image.load()
        return image
    except OSError:
        if image.format not in {"JPEG", "MPO"} or not _is_whole(data, image.size):
            raise
        return _ended(data, image.size)


def coefficient_bytes(image: Image.Image, size: tuple[int, int]) -> int:
    """The memory libjpeg uses for a progressive JPEG until its last scan, at any reduction."""
    layers = getattr(image, "layer", []) if image.info.get("progressive") else []
    most = max((across * down for _, across, down, _ in layers), default=1)
    samples = sum(across * down for _, across, down, _ in layers) / most
    return int(size[0] * size[1] * samples * _COEFFICIENT_BYTES)


def scans(image: Image.Image, data: bytes) -> int:
    """The number of scans of an opened image that will be decoded; 1 if the first is complete."""
    parts, opened = len(getattr(image, "layer", [])), image.fp  # type: ignore[attr-defined]
    size = 6 + 2 * parts
    end = opened.tell()  # Pillow has read up to the first scan's header
    opened.seek(max(0, end - size - len(START_OF_SCAN)))
    head = opened.read(5)
    opened.seek(end)
    if head == START_OF_SCAN + bytes([0, size, parts]) and not image.info.get("progressive"):
        return 1
    return data.count(START_OF_SCAN)


def _is_whole(data: bytes, size: tuple[int, int]) -> bool:
    """Tell a missing end marker from missing rows: libjpeg silently fills both with grey.

    If the last bytes of the data affect the lower right corner, the data is complete. A picture
    with a uniform corner counts as truncated.
    """
    corner = (max(0, size[0] - 8), max(0, size[1] - 8), *size)
    ends = []
    for kept in (data, data[:-_CUT_BYTES]):
        ends.append(_ended(kept, size).convert("RGB").crop(corner))
    return ImageChops.difference(*ends).getbbox() is not None


def _ended(data: bytes, size: tuple[int, int]) -> Image.Image:
    image = Image.open(io.BytesIO(data + _END), formats=("JPEG",))
    image.draft(None, size)
    image.load()
    return image
