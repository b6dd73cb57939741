"""Images that would take too much are refused before they take it."""

import struct
import zlib

import pytest
from PIL import Image

from testkit.images.pictures import encoded
from testkit.images.reading import Limits
from visionfleet.errors import BadImage
from visionfleet.imaging import cost
from visionfleet.imaging.decode import check_header

LIMITS = Limits(50_000_000, 250_000_000, ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"))


def png(width: int, height: int, colour: int) -> bytes:
    """The start of a PNG; colour type 0 is grey, 2 RGB, 6 with alpha."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    crc = zlib.crc32(b"IHDR" + ihdr)
    head = struct.pack(">I", len(ihdr)) + b"IHDR" + ihdr + struct.pack(">I", crc)
    return b"\x89PNG\r\n\x1a\n" + head + struct.pack(">I", 0) + b"IDAT" + bytes(4)


def accepted(data: bytes) -> bool:
    try:
        check_header(data, LIMITS)
    except BadImage as error:
        return error.code != "too_many_pixels"
    return True


@pytest.mark.parametrize(
    ("size", "colour", "fits"),
    [
        ((12_000, 9000), 0, True),
        ((12_000, 8000), 2, True),
        ((12_000, 9000), 2, False),
        ((8000, 6000), 6, True),
        ((9000, 6000), 6, False),
        ((20_000, 12_500), 0, True),
        ((20_000, 20_000), 0, False),
    ],
)
def test_pixel_limit_follows_the_bytes_per_pixel(
    size: tuple[int, int], colour: int, fits: bool
) -> None:
    assert accepted(png(*size, colour)) is fits


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Write another size into the frame header of a JPEG."""
    at = next(at for at in range(len(jpeg)) if jpeg[at : at + 2] in {b"\xff\xc0", b"\xff\xc2"})
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


@pytest.mark.parametrize(
    ("size", "options", "fits"),
    [
        ((12_000, 9000), {}, True),
        ((20_000, 12_000), {}, True),
        ((9000, 7000), {"progressive": True}, True),
        ((12_000, 9000), {"progressive": True, "subsampling": 0}, False),
    ],
)
def test_jpeg_is_decoded_at_a_reduced_size(
    size: tuple[int, int], options: dict[str, object], fits: bool
) -> None:
    small = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", **options)
    assert accepted(with_size(small, *size)) is fits


def test_large_jpeg_with_many_scans_is_refused() -> None:
    small = encoded(Image.new("RGB", (64, 64), "red"), "JPEG", progressive=True)
    large = with_size(small, 8000, 6000)
    assert accepted(large)
    assert not accepted(large + b"\xff\xda" * 100)
    assert accepted(small + b"\xff\xda" * 100)


def test_decoding_cost_refusal_names_need_and_limit() -> None:
    with pytest.raises(BadImage, match=rf"takes \d+ bytes.* the limit is {cost.MAX_DECODE_BYTES}"):
        check_header(png(12_000, 9000, 2), LIMITS)


def test_scans_of_single_parts_are_counted() -> None:
    """A picture in three baseline scans, one for each part, may go on with any number of them."""
    picture = Image.new("RGB", (64, 64), "red")
    whole = with_size(encoded(picture, "JPEG"), 8000, 6000)
    at = whole.rindex(b"\xff\xda")
    assert accepted(whole + b"\xff\xda" * 100), "what follows a whole scan is never decoded"
    single = whole[:at] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + whole[at + 14 :]
    assert accepted(single)
    assert not accepted(single + b"\xff\xda" * 100)
