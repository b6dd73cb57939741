"""Files taken apart into the records of their format, and put together again with right lengths.

Each format has a pair: `split` gives records of a kind and a body, `join` makes a file of them.
What stands before, between and behind records keeps its place as a record of the kind empty.
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

Record = tuple[bytes, bytes]
_PNG = b"\x89PNG\r\n\x1a\n"
_BOXES_OF_BOXES = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"moov": 0, b"trak": 0, b"mdia": 0}


@dataclass(frozen=True)
class Container:
    split: Callable[[bytes], list[Record]]
    join: Callable[[list[Record]], bytes]


def _split_png(data: bytes) -> list[Record]:
    records, at = [], len(_PNG)
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        records.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    return records


def _join_png(records: list[Record]) -> bytes:
    return _PNG + b"".join(png_chunk(*record) for record in records)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def _split_jpeg(data: bytes) -> list[Record]:
    """Segments up to the first scan; that and all behind it is one record."""
    records, at = [], 2
    while at < len(data) and data[at : at + 2] != b"\xff\xda":
        if data[at : at + 2] == b"\xff\xff":
            records.append((b"", b"\xff"))  # fill bytes may stand before any marker
            at += 1
            continue
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        records.append((data[at : at + 2], data[at + 4 : at + 2 + size]))
        at += 2 + size
    return [*records, (b"", data[at:])]


def _join_jpeg(records: list[Record]) -> bytes:
    return b"\xff\xd8" + b"".join(jpeg_segment(*record) for record in records)


def jpeg_segment(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack(">H", len(body[:65533]) + 2) + body[:65533] if kind else body


def _split_riff(data: bytes) -> list[Record]:
    records, at = [], 12
    while at < len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        records.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return records


def _join_riff(records: list[Record]) -> bytes:
    chunks = (k + struct.pack("<L", len(b)) + b + bytes(len(b) % 2) for k, b in records)
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def _split_boxes(data: bytes) -> list[Record]:
    """Boxes of ISO 14496-12, those within boxes too: the head of an outer one is a record."""
    records, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        kind = data[at + 4 : at + 8]
        if kind in _BOXES_OF_BOXES:
            head = 8 + _BOXES_OF_BOXES[kind]
            inner = _split_boxes(data[at + head : at + size])
            records += [(b">" + kind, data[at + 8 : at + head]), *inner, (b"<" + kind, b"")]
        else:
            records.append((kind, data[at + 8 : at + size]))
        at += size
    return records


def _join_boxes(records: list[Record]) -> bytes:
    """Put boxes together; the offsets of `iloc` are not mended, as no box need change its size."""
    levels: list[tuple[bytes, bytes]] = [(b"", b"")]
    for kind, body in records:
        if kind.startswith(b">"):
            levels.append((kind[1:], body))
        elif kind.startswith(b"<") and len(levels) > 1:
            outer, inside = levels.pop()
            levels[-1] = (levels[-1][0], levels[-1][1] + _box(outer, inside))
        else:
            levels[-1] = (levels[-1][0], levels[-1][1] + _box(kind, body))
    return b"".join(inside for _, inside in levels)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body) + 8) + kind[-4:] + body


def _split_tiff(data: bytes) -> list[Record]:
    """Entries of the first directory, of twelve bytes each; the whole file is a record before."""
    order = _order(data)
    (at,) = struct.unpack_from(order + "L", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    entries = [data[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    return [(b"", data), *((b"entry", entry) for entry in entries)]


def _join_tiff(records: list[Record]) -> bytes:
    """Write the directory behind everything else, where there is room for more entries."""
    rest = b"".join(body for kind, body in records if not kind)
    entries = [body for kind, body in records if kind]
    order, start = _order(rest), len(rest) + len(rest) % 2
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return rest[:4] + struct.pack(order + "L", start) + rest[8:].ljust(start - 8, b"\0") + directory


def _order(data: bytes) -> str:
    return ">" if data.startswith(b"MM") else "<"


def _split_head(size: int) -> Callable[[bytes], list[Record]]:
    """Formats with one header at the start: BMP and GIF."""
    return lambda data: [(b"", data[:size]), (b"", data[size:])]


def _plain(records: list[Record]) -> bytes:
    return b"".join(kind + body for kind, body in records)


CONTAINERS = {
    "PNG": Container(_split_png, _join_png),
    "JPEG": Container(_split_jpeg, _join_jpeg),
    "WEBP": Container(_split_riff, _join_riff),
    "AVIF": Container(_split_boxes, _join_boxes),
    "HEIF": Container(_split_boxes, _join_boxes),
    "TIFF": Container(_split_tiff, _join_tiff),
    "BMP": Container(_split_head(138), _plain),
    "GIF": Container(_split_head(800), _plain),
}
