"""Strips a PNG to what its picture needs, before Pillow: no text, times or further frames.

So compressed text cannot be a decompression bomb, faults in irrelevant chunks do not matter, and of
an animation the default image is used, as by picture viewers.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from visionfleet.errors import BadImage
from visionfleet.imaging.parts import bounded

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_LARGEST_PROFILE_BYTES = 4 << 20
_DEPTH, _COLOURS, _INTERLACED = 24, 25, 28  # offsets in the header
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First column and row, and steps, of the seven passes of an interlaced picture.
_PASSES = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_RESERVED = 8
_UNPACKED_AT_ONCE = 1 << 20
_END_PIXELS = 1024


def picture_only(data: bytes) -> bytes:
    """Strip all chunks that do not affect the pixels; other formats are returned unchanged."""
    if not data.startswith(SIGNATURE):
        return data
    kept, left_out = [slice(0, len(SIGNATURE))], False
    for kind, start, end in bounded(_chunks(data)):
        if kind in _CRITICAL or (kind in {b"tRNS", b"eXIf"} and _is_sound(data, start, end)):
            kept.append(slice(start, end))
        else:
            left_out = True
    return b"".join(data[part] for part in kept) if left_out else data


def colour_chunks(data: bytes) -> dict[bytes, bytes]:
    if not data.startswith(SIGNATURE):
        return {}
    wanted = {b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM"}
    found: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            break
        if kind in wanted and _is_sound(data, start, end):
            found.setdefault(kind, data[start + _RESERVED : end - 4])
    return found


def profile_in(chunk: bytes) -> bytes | None:
    """The decompressed profile of an `iCCP` chunk, up to a limit; None without one."""
    packed = chunk.partition(b"\0")[2][1:]
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed, _LARGEST_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile or None


def mend_transparency(image: Image.Image, data: bytes) -> None:
    """Convert the transparent colour from the file's bit depth to the mode's."""
    clear = image.info.get("transparency")
    if image.format != "PNG" or clear is None or isinstance(clear, bytes):
        return
    depth = data[_DEPTH]
    if image.mode == "RGB" and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    elif image.mode == "L" and depth in (2, 4):
        image.info["transparency"] = clear * 255 // ((1 << depth) - 1)


def load(image: Image.Image, data: bytes) -> Image.Image:
    """Decode an opened image; raises BadImage where its palette or its last rows are missing.

    Pillow makes both black, silently. What is black at its lower end is unpacked once more.
    """
    if image.mode == "P" and image.palette is None:
        raise BadImage("cannot_be_decoded", "the image cannot be decoded: it has no palette")
    image.load()
    width, height = image.size
    end = image.crop((max(0, width - _END_PIXELS), max(0, height - 2), width, height))
    if not any(end.tobytes()) and not _has_bytes(data, _unpacked_bytes(image.size, data)):
        raise BadImage("cannot_be_decoded", "the image cannot be decoded: rows are missing")
    return image


def _unpacked_bytes(size: tuple[int, int], data: bytes) -> int:
    """The size of all rows, each with its filter byte."""
    bits, total = data[_DEPTH] * _SAMPLES[data[_COLOURS]], 0
    for left, top, right, down in _PASSES if data[_INTERLACED] else ((0, 0, 1, 1),):
        across, rows = -(-(size[0] - left) // right), -(-(size[1] - top) // down)
        total += rows * (1 + -(-across * bits // 8)) if across > 0 else 0
    return total


def _has_bytes(data: bytes, wanted: int) -> bool:
    unpacking, found = zlib.decompressobj(), 0
    for kind, start, end in _chunks(data):
        rest = data[start + _RESERVED : end - 4] if kind == b"IDAT" else b""
        while rest and found < wanted:
            found += len(unpacking.decompress(rest, _UNPACKED_AT_ONCE))
            rest = unpacking.unconsumed_tail
    return found >= wanted


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Iterate over the chunks: type, start, end (including length and CRC)."""
    at = len(SIGNATURE)
    while at + _RESERVED <= len(data):
        (size,), kind = struct.unpack_from(">L", data, at), data[at + 4 : at + 8]
        yield kind, at, at + size + 12
        at += size + 12


def _is_sound(data: bytes, start: int, end: int) -> bool:
    return zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")
