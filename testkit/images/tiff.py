"""TIFFs with the tags of one's choice, uncompressed, after TIFF 6.0."""

import struct
from collections.abc import Sequence

_TYPES = {"B": (1, 1), "H": (3, 2), "L": (4, 4), "l": (9, 4)}
# Values, with the code of `struct` for their type where it is not the usual one of the tag.
_Values = Sequence[int] | tuple[str, Sequence[int]]
Tags = dict[int, _Values]
_LONGS = {256, 257, 273, 278, 279}


def tiff(
    body: bytes | Sequence[bytes], size: tuple[int, int], tags: Tags, order: str = "<"
) -> bytes:
    """Write strips of pixels, or one for each plane; a tag without values is left out."""
    strips = [body] if isinstance(body, bytes) else list(body)
    starts = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    usual: Tags = {
        256: [size[0]],
        257: [size[1]],
        259: [1],
        273: starts,
        278: [size[1]],
        279: [len(strip) for strip in strips],
    }
    pixels = b"".join(strips)
    pixels += bytes(len(pixels) % 2)
    rows = sorted((usual | tags).items())
    entries = [(tag, *_typed(tag, value)) for tag, value in rows if value]
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", 42, 8 + len(pixels))
    return head + pixels + _directory(entries, 8 + len(pixels), order)


def _typed(tag: int, value: _Values) -> tuple[str, Sequence[int]]:
    if isinstance(value, tuple) and isinstance(value[0], str):
        return value[0], value[1]
    return ("L" if tag in _LONGS else "H"), value  # type: ignore[return-value]


def _directory(entries: Sequence[tuple[int, str, Sequence[int]]], start: int, order: str) -> bytes:
    """Put values of more than four bytes behind the entries."""
    behind = start + 2 + 12 * len(entries) + 4
    rows, long_values = b"", b""
    for tag, code, values in entries:
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            place = struct.pack(order + "L", behind + len(long_values))
            long_values += packed + bytes(len(packed) % 2)
        else:
            place = packed.ljust(4, b"\0")
        rows += struct.pack(order + "HHL", tag, _TYPES[code][0], len(values)) + place
    return struct.pack(order + "H", len(entries)) + rows + bytes(4) + long_values
