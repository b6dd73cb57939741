"""Colours that a file tells in numbers, and what is transparent, seen as a browser shows them."""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from testkit.images.containers import CONTAINERS, Record
from testkit.images.icc import DISPLAY_P3, PROPHOTO_RGB
from testkit.images.pictures import encoded
from testkit.images.reading import Limits, read_pixels
from visionfleet.imaging.model_input import Pixels, Preprocessing

LIMITS = Limits(10_000_000, 10_000_000, ("AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP"))
HOW = Preprocessing(64, 64, (0, 0, 0), (1, 1, 1))
STEPS = np.linspace(20, 235, 64).astype(np.uint8)
COLOURS = Image.merge(
    "RGB",
    [
        Image.fromarray(np.tile(STEPS, (64, 1))),
        Image.fromarray(np.tile(STEPS[:, None], (1, 64))),
        Image.new("L", (64, 64), 90),
    ],
)
P3_PRIMARIES = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def seen(data: bytes) -> Pixels:
    return read_pixels(data, LIMITS, HOW)


def difference(data: bytes) -> float:
    return float(np.abs(seen(data).astype(int) - np.asarray(COLOURS)).mean())


def in_space(profile: bytes) -> Image.Image:
    srgb, wide = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    made = ImageCms.profileToProfile(COLOURS, srgb, wide, outputMode="RGB")
    assert made is not None
    made.info.clear()
    return made


def png_with(image: Image.Image, *chunks: Record, at: int = 1) -> bytes:
    records = CONTAINERS["PNG"].split(encoded(image))
    return CONTAINERS["PNG"].join([*records[:at], *chunks, *records[at:]])


def chromaticities(*values: float) -> Record:
    return b"cHRM", struct.pack(">8L", *(round(value * 100_000) for value in values))


GAMMA = (b"gAMA", struct.pack(">L", 45_455))


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([12, 13, 0, 1]))],
        [chromaticities(*P3_PRIMARIES), GAMMA],
        [GAMMA, chromaticities(*P3_PRIMARIES)],
        [(b"cICP", bytes([12, 13, 0, 1])), (b"sRGB", b"\0")],
    ],
)
def test_png_tells_its_colours_in_numbers(chunks: Sequence[Record]) -> None:
    wide = in_space(DISPLAY_P3)
    assert difference(encoded(wide)) > 3
    assert difference(png_with(wide, *chunks)) < 1.5


@pytest.mark.parametrize(
    "chunks",
    [
        [chromaticities(*P3_PRIMARIES), GAMMA, (b"sRGB", b"\0")],
        [chromaticities(*P3_PRIMARIES)],
        [chromaticities(*[0.0] * 8), GAMMA],
        [chromaticities(*[1 / 3] * 8), GAMMA],
        [(b"cICP", bytes([1, 13, 0, 1])), chromaticities(*P3_PRIMARIES), GAMMA],
        [(b"gAMA", bytes(3))],
    ],
)
def test_png_numbers_that_say_nothing_change_nothing(chunks: Sequence[Record]) -> None:
    assert difference(png_with(COLOURS, *chunks)) == 0


def test_avif_tells_its_primaries_in_its_box() -> None:
    data = encoded(in_space(DISPLAY_P3), "AVIF", quality=100, subsampling="4:4:4", speed=8)
    at = data.index(b"colrnclx") + 8
    assert difference(data) > 3
    assert difference(data[:at] + struct.pack(">H", 12) + data[at + 2 :]) < 2


def test_profile_is_told_by_its_colours_not_its_name() -> None:
    named = PROPHOTO_RGB.replace(b"wide\0", b"sRGB\0")
    assert difference(encoded(in_space(PROPHOTO_RGB), icc_profile=named)) < 1.5


def test_bmp_of_the_fifth_version_has_its_profile() -> None:
    plain = encoded(in_space(PROPHOTO_RGB), "BMP")
    size = len(plain) - 54
    header = struct.pack("<L", 124) + plain[18:54] + bytes(16) + b"DEBM" + bytes(48)
    header += struct.pack("<LLLL", 4, 124 + size, len(PROPHOTO_RGB), 0)
    start = struct.pack("<LLL", 138 + size + len(PROPHOTO_RGB), 0, 138)
    assert difference(b"BM" + start + header + plain[54:] + PROPHOTO_RGB) < 1.5


def upper_half_is_white(data: bytes) -> bool:
    pixels = seen(data)
    return bool((pixels[:30] == 255).all() and (pixels[34:] != 255).any())


@pytest.mark.parametrize(("kind", "scale"), [(np.uint8, 1), (np.uint16, 257)])
def test_png_has_its_transparent_grey(kind: type[np.unsignedinteger[Any]], scale: int) -> None:
    grey = (np.asarray(COLOURS.convert("L")).astype(int) * scale).astype(kind)
    grey[grey == 9], grey[:32] = 10, 9
    chunk = (b"tRNS", struct.pack(">H", 9))
    assert upper_half_is_white(png_with(Image.fromarray(grey), chunk))


def test_png_has_its_transparent_grey_of_four_bits() -> None:
    grey = np.asarray(COLOURS.convert("L")) // 17
    grey[grey == 9], grey[:32] = 10, 9
    ihdr = struct.pack(">LLBBBBB", 64, 64, 4, 0, 0, 0, 0)
    packed = grey[:, ::2] << 4 | grey[:, 1::2]
    rows = b"".join(b"\0" + row.tobytes() for row in packed.astype(np.uint8))
    chunks = [(b"IHDR", ihdr), (b"tRNS", b"\0\x09"), (b"IDAT", zlib.compress(rows))]
    assert upper_half_is_white(CONTAINERS["PNG"].join([*chunks, (b"IEND", b"")]))


def test_png_has_its_transparent_colour_of_sixteen_bits() -> None:
    colours = np.asarray(COLOURS).astype(">u2") * 257
    colours[:32] = (1000, 2000, 3000)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    chunks = [
        (b"IHDR", struct.pack(">LLBBBBB", 64, 64, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">HHH", 1000, 2000, 3000)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    assert upper_half_is_white(CONTAINERS["PNG"].join(chunks))


def test_gif_is_white_where_its_first_picture_is_not() -> None:
    lower = COLOURS.crop((0, 32, 64, 64)).quantize(250)
    data = bytearray(encoded(lower, "GIF"))
    data[6:10] = struct.pack("<HH", 64, 64)
    at = data.index(b",", 13 + 3 * 256 if data[10] & 7 == 7 else 13)
    data[at + 3 : at + 5] = struct.pack("<H", 32)
    assert upper_half_is_white(bytes(data))


def test_animated_webp_is_white_where_its_first_picture_is_not() -> None:
    kind, body = CONTAINERS["WEBP"].split(
        encoded(COLOURS.crop((0, 32, 64, 64)), "WEBP", lossless=True)
    )[0]
    place = struct.pack("<LLLL", 0, 16, 63, 31)
    frame = b"".join(place[at : at + 3] for at in range(0, 16, 4)) + bytes([100, 0, 0, 0])
    frame += kind + struct.pack("<L", len(body)) + body + bytes(len(body) % 2)
    canvas = bytes([2, 0, 0, 0, 63, 0, 0, 63, 0, 0])
    records = [(b"VP8X", canvas), (b"ANIM", b"\0\0\xff\xff\0\0"), (b"ANMF", frame)]
    assert upper_half_is_white(CONTAINERS["WEBP"].join([*records, records[-1]]))
