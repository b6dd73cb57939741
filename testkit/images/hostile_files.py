"""Hostile and odd files, each with the answer that it must get.

The answer is a code of BadImage, or OK with the colour that the middle of the picture must have.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from testkit.images.pictures import encoded, numbered
from testkit.images.tiff import Tags, tiff

RED, WHITE, GREY = (255, 0, 0), (255, 255, 255), (128, 128, 128)
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Sample:
    """One file: `answer` is a code, or the colour in the middle of the decoded picture."""

    name: str
    data: bytes
    answer: str | Colour | None


def hostile_files() -> list[Sample]:
    """All samples; names are unique."""
    return [*refused(), *truncated(), *odd_but_good(), *upright()]


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, body: bytes = b"", interlace: int = 0
) -> bytes:
    """A PNG with a header of one's choice."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    idat = zlib.compress(body or bytes(2000))
    start, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")
    return start + chunk(b"IHDR", ihdr) + chunk(b"IDAT", idat) + end


def solid(mode: str, colour: object, size: tuple[int, int] = (32, 32)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def refused() -> Iterator[Sample]:
    """What is not an image of an accepted type, or claims too much."""
    jpeg = encoded(numbered(1, 64), "JPEG")
    not_an_image = {
        "text": b"hello, I am text\n" * 20,
        "html": b"<!doctype html><html><body>hi</body></html>",
        "script": b"#!/bin/sh\nrm -rf /\n",
        "one byte": b"\xff",
        "nul bytes": bytes(4096),
        "zip": b"PK\x03\x04" + bytes(200),
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>',
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "psd": b"8BPS\x00\x01" + bytes(100),
        "ico": b"\x00\x00\x01\x00\x01\x00" + bytes(100),
        "ppm": encoded(numbered(1), "PPM"),
        "tga": encoded(numbered(1), "TGA"),
        "heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
        "jpeg marker only": b"\xff\xd8\xff",
        "jpeg with its start cut off": jpeg[2:],
        "png signature only": b"\x89PNG\r\n\x1a\n",
        "gif header only": b"GIF89a",
        "bmp header only": b"BM" + bytes(12),
        "webp header only": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        "tiff header only": b"II*\x00\x08\x00\x00\x00",
    }
    yield from (Sample(name, data, "not_an_image") for name, data in not_an_image.items())
    yield Sample("empty", b"", "empty")
    for name, size in {
        "bomb": (60_000, 60_000),
        "wide": (4_000_000, 200),
        "largest sizes there are": (2**31 - 1, 2**31 - 1),
    }.items():
        yield Sample(f"png {name}", png(*size), "too_many_pixels")
    for name, size in {"column": (1, 90_000_000), "row": (90_000_000, 1)}.items():
        yield Sample(f"png of one {name}", png(*size, colour=0), "too_many_pixels")
    tile: Tags = {258: [8], 262: [1], 273: [], 278: [], 279: [], 324: [8], 325: [900]}
    for sides in ((30_000, 30_000), (2**31, 16)):
        large = tile | {322: ("L", [sides[0]]), 323: ("L", [sides[1]])}
        name = f"tiff with a tile of {sides}"
        yield Sample(name, tiff(bytes(900), (30, 30), large), "too_many_pixels")
    gif = bytearray(encoded(solid("P", 0), "GIF"))
    gif[6:10] = struct.pack("<HH", 65_000, 65_000)
    yield Sample("gif bomb", bytes(gif), "too_many_pixels")


def truncated() -> Iterator[Sample]:
    """Good headers with pixels that are missing or broken."""
    for format_ in ("JPEG", "PNG", "GIF", "BMP", "TIFF"):
        whole = encoded(numbered(3, 128), format_)
        yield Sample(f"half a {format_}", whole[: len(whole) * 3 // 5], "cannot_be_decoded")
    yield Sample("png with wrong pixels", png(64, 64, body=b"\xff" * 99), "cannot_be_decoded")
    for interlace in (0, 1):
        short = png(64, 64, body=bytes(193 * 20), interlace=interlace)
        yield Sample(f"png without its last rows, {interlace}", short, "cannot_be_decoded")
    yield Sample(
        "png without its palette", png(64, 64, colour=3, body=bytes(65 * 64)), "cannot_be_decoded"
    )
    broken = bytearray(encoded(numbered(3, 128), "PNG"))
    broken[200:260] = bytes(60)
    yield Sample("png with a hole", bytes(broken), "cannot_be_decoded")


def odd_but_good() -> Iterator[Sample]:
    """Odd files that people do upload."""
    yield Sample("one pixel", encoded(solid("RGB", RED, (1, 1))), RED)
    yield Sample("very tall", encoded(solid("RGB", RED, (2, 3000))), RED)
    yield Sample("cmyk jpeg", encoded(solid("CMYK", (0, 255, 255, 0)), "JPEG"), None)
    yield Sample("grey jpeg", encoded(solid("L", 128), "JPEG"), GREY)
    yield Sample("bilevel", encoded(solid("1", 1)), WHITE)
    for colour, bits in ((0, 1), (0, 8), (0, 16), (2, 8), (2, 16)):
        for interlace in (0, 1):
            samples = 3 if colour == 2 else 1
            rows = 11 if not interlace else 30  # of 9 pixels, one by one or in seven passes
            body = bytes(rows * (1 + -(-9 * bits * samples // 8)))
            black = png(9, 11, bits, colour, body, interlace)
            yield Sample(f"black png, {bits} bit {colour} {interlace}", black, (0, 0, 0))
    deep = Image.fromarray(np.full((32, 32), 128 * 256 + 7, np.uint16))
    yield Sample("16 bit grey png", encoded(deep), GREY)
    yield Sample("16 bit grey tiff", encoded(deep, "TIFF"), GREY)
    yield Sample("transparent rgba", encoded(solid("RGBA", (255, 0, 0, 0))), WHITE)
    yield Sample("opaque rgba", encoded(solid("RGBA", (255, 0, 0, 255))), RED)
    yield Sample("transparent grey", encoded(solid("LA", (0, 0))), WHITE)
    palette = solid("RGB", RED).convert("P")
    yield Sample("palette", encoded(palette), RED)
    hole = palette.getpixel((0, 0))
    yield Sample("transparent palette", encoded(palette, transparency=hole), WHITE)
    frames = [solid("RGB", colour) for colour in (RED, (0, 0, 255))]
    for format_ in ("GIF", "WEBP", "PNG", "TIFF"):
        options = {"save_all": True, "append_images": frames[1:]}
        if format_ == "WEBP":
            options["lossless"] = True
        yield Sample(f"animated {format_}", encoded(frames[0], format_, **options), RED)
    yield Sample("jpeg with rubbish behind", encoded(numbered(1), "JPEG") + bytes(5000), None)
    yield Sample("progressive jpeg", encoded(numbered(1), "JPEG", progressive=True), None)
    yield Sample(
        "jpeg with a huge comment", encoded(numbered(1), "JPEG", comment=b"x" * 60000), None
    )


def upright() -> Iterator[Sample]:
    """The eight orientations of a camera: the red corner must come out at the top left."""
    picture = solid("RGB", "white", (64, 32))
    picture.paste("red", (0, 0, 16, 16))
    for orientation, undo in enumerate((None, 0, 3, 1, 5, 2, 6, 4), start=1):
        turned = picture if undo is None else picture.transpose(Image.Transpose(undo))
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encoded(turned, "JPEG", exif=exif, quality=95, subsampling=0)
        yield Sample(f"orientation {orientation}", data, None)
    exif = Image.Exif()
    exif[0x0112] = 99
    yield Sample("orientation that does not exist", encoded(picture, "JPEG", exif=exif), None)
