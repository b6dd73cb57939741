"""What a person sees of a file: profiles, deep greys, odd palettes and alphas, in eight bits."""

import struct
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image, ImageCms

from testkit.images.icc import ADOBE_RGB
from testkit.images.pictures import encoded
from testkit.images.reading import Limits, read_pixels
from visionfleet.errors import BadImage
from visionfleet.imaging.model_input import Pixels, Preprocessing

LIMITS = Limits(10_000_000, 10_000_000, ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"))
HOW = Preprocessing(32, 32, (0, 0, 0), (1, 1, 1))
RAMP = np.tile(np.linspace(0, 1, 32), (32, 1))


def seen(data: bytes) -> Pixels:
    return read_pixels(data, LIMITS, HOW)


def tiff(
    pixels: bytes, bits: int, photometric: int = 1, form: int = 1, table: Sequence[int] = ()
) -> bytes:
    """An uncompressed TIFF of 32 x 32 pixels in one strip, with a colour map if there is one."""
    rows = [(256, 3, 1, 32), (257, 3, 1, 32), (258, 3, 1, bits), (259, 3, 1, 1)]
    rows += [(262, 3, 1, photometric), (273, 4, 1, 0), (277, 3, 1, 1), (278, 3, 1, 32)]
    rows += [(279, 4, 1, len(pixels)), (339, 3, 1, form)]
    end = 8 + 2 + 12 * (len(rows) + bool(table)) + 4
    rows[5] = (273, 4, 1, end + 2 * len(table))
    if table:
        rows.insert(9, (320, 3, len(table), end))
    head = struct.pack("<2sHLH", b"II", 42, 8, len(rows))
    body = b"".join(struct.pack("<HHLL", *row) for row in rows) + bytes(4)
    return head + body + struct.pack(f"<{len(table)}H", *table) + pixels


def assert_ramp(pixels: Pixels) -> None:
    expected = np.repeat(np.rint(RAMP * 255)[:, :, None], 3, 2)
    assert np.abs(pixels.astype(int) - expected).max() <= 1


def packed_twelve_bits(values: np.ndarray[tuple[int, ...], np.dtype[np.uint16]]) -> bytes:
    flat = values.reshape(-1, 2).astype(int)
    pairs = (flat[:, 0] << 12) | flat[:, 1]
    return b"".join(int(pair).to_bytes(3, "big") for pair in pairs)


WHOLE = np.rint(RAMP * 65535).astype("<u2")
TWELVE = np.rint(RAMP * 4095).astype(np.uint16)


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(WHOLE)),
        encoded(Image.fromarray(WHOLE), "TIFF"),
        tiff(WHOLE.tobytes(), 16),
        tiff((65535 - WHOLE).tobytes(), 16, photometric=0),
        tiff(packed_twelve_bits(TWELVE), 12),
        tiff(np.rint(RAMP * 255).astype("<i4").tobytes(), 32, form=2),
        tiff(WHOLE.astype("<i4").tobytes(), 32, form=2),
        tiff(RAMP.astype("<f4").tobytes(), 32, form=3),
        tiff((RAMP * 255).astype("<f4").tobytes(), 32, form=3),
        encoded(Image.fromarray(np.rint(RAMP * 255).astype(np.uint8))),
    ],
    ids=[
        *("16 bit PNG", "16 bit TIFF by Pillow", "16 bit TIFF", "16 bit TIFF, white is zero"),
        *("12 bit TIFF", "32 bit TIFF of bytes", "32 bit TIFF of words"),
        *("float TIFF to 1", "float TIFF to 255", "8 bit PNG"),
    ],
)
def test_grey_ramp_is_the_same_at_any_depth(data: bytes) -> None:
    assert_ramp(seen(data))


@pytest.mark.parametrize(
    "pixels",
    [RAMP * 1e9, RAMP - 0.5, np.full((32, 32), np.nan), np.full((32, 32), np.inf)],
    ids=["unknown range", "negative", "not a number", "infinite"],
)
def test_pixels_without_a_known_white_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(BadImage, match="no known white") as caught:
        seen(tiff(pixels.astype("<f4").tobytes(), 32, form=3))
    assert caught.value.code == "cannot_be_decoded"


def test_bytes_with_a_sign_are_grey_or_refused() -> None:
    signed = np.rint(RAMP * 255 - 128).astype(np.int8)
    with pytest.raises(BadImage, match="no known white"):
        seen(tiff(signed.tobytes(), 8, form=2))
    bright = seen(tiff(np.maximum(signed, 0).tobytes(), 8, form=2))
    assert (bright[:, :, 0] == np.maximum(signed, 0)).all()


def test_byte_colour_map_is_not_black() -> None:
    pixels = np.tile(np.arange(32, dtype=np.uint8), (32, 1)).tobytes()
    table = [min(255, 8 * i) for i in range(256)] * 3
    words = [257 * value for value in table]
    eight, sixteen = (seen(tiff(pixels, 8, photometric=3, table=t)) for t in (table, words))
    assert (eight == sixteen).all()
    assert eight.max() > 200


def test_bmp_with_unset_alpha_is_opaque() -> None:
    image = Image.new("RGBA", (32, 32), (200, 30, 40, 255))
    bmp = bytearray(encoded(image, "BMP"))
    start = int.from_bytes(bmp[10:14], "little")
    for place in range(start + 3, len(bmp), 4):
        bmp[place] = 0
    assert tuple(seen(bytes(bmp))[5, 5]) == (200, 30, 40)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_colour_profile_is_applied(format_: str) -> None:
    picture = Image.new("RGB", (32, 32), (100, 200, 100))
    options = {"quality": 100} if format_ in {"JPEG", "WEBP"} else {}
    red, green, blue = seen(encoded(picture, format_, icc_profile=ADOBE_RGB, **options))[16, 16]
    # Adobe RGB's green is wider than sRGB's, so the same numbers are a stronger green.
    assert (red < 60, green > 195, blue < 105) == (True, True, True)


def test_transparency_and_colour_profile_combine() -> None:
    picture = Image.new("RGBA", (32, 32), (100, 200, 100, 0))
    picture.paste((100, 200, 100, 255), (0, 0, 16, 32))
    pixels = seen(encoded(picture, icc_profile=ADOBE_RGB))
    assert pixels[5, 5][0] < 60
    assert tuple(pixels[5, 30]) == (255, 255, 255)


def test_profile_of_another_colour_space_is_ignored() -> None:
    picture = Image.linear_gradient("L").resize((32, 32))
    assert (seen(encoded(picture, icc_profile=ADOBE_RGB)) == seen(encoded(picture))).all()


def test_srgb_profile_changes_nothing() -> None:
    picture = Image.merge("RGB", [Image.linear_gradient("L").resize((32, 32))] * 3)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert (seen(encoded(picture, icc_profile=srgb)) == seen(encoded(picture))).all()


@pytest.mark.parametrize("profile", [b"x", bytes(128), b"rubbish" * 1000, ADOBE_RGB[:200]])
def test_broken_colour_profile_is_ignored(profile: bytes) -> None:
    picture = Image.new("RGB", (32, 32), (10, 200, 90))
    assert tuple(seen(encoded(picture, icc_profile=profile))[0, 0]) == (10, 200, 90)
