"""Files of very many parts, and with padding between them: nobody's time is taken by a header."""

import zlib

import pytest
from PIL import Image

from testkit.images.pictures import encoded, numbered
from testkit.images.reading import Limits
from testkit.processes.cpu_time import takes_less_than
from visionfleet.errors import BadImage
from visionfleet.imaging.decode import check_header, decode
from visionfleet.imaging.parts import MAX_PARTS

LIMITS = Limits(20 << 20, 50_000_000, ("GIF", "JPEG", "PNG"))
MEBIBYTES = 16 << 20
PICTURE = numbered(3, 64)
JPEG, PNG = encoded(PICTURE, "JPEG", quality=95), encoded(PICTURE, "PNG")
GIF = encoded(PICTURE.convert("P"), "GIF")
COLOURS = 13 + (3 << (GIF[10] & 7) + 1)  # a GIF's header and colours


def after_start(filling: bytes, size: int = MEBIBYTES) -> bytes:
    return JPEG[:2] + filling * (size // len(filling)) + JPEG[2:]


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def before_picture(filling: bytes) -> bytes:
    return GIF[:COLOURS] + filling * (MEBIBYTES // len(filling)) + GIF[COLOURS:]


PADDED = {
    "fill bytes": after_start(b"\xff"),
    "zeros": after_start(bytes(1024)),
    "some escaped bytes": after_start(b"\xff\0", 1000),
    "restart markers": after_start(b"\xff\xd0", 1000),
    "comments": after_start(b"\xff\xfe\0\x04hi", 6000),
}
TOO_MANY = {
    "jpeg escaped bytes": after_start(b"\xff\0"),
    "jpeg restart markers": after_start(b"\xff\xd0"),
    "jpeg comments": after_start(b"\xff\xfe\0\2"),
    "jpeg EXIF": after_start(b"\xff\xe1\0\x08Exif\0\0"),
    "png empty data": PNG[:33] + chunk(b"IDAT") * (MEBIBYTES // 12) + PNG[33:],
    "png private chunks": PNG[:33] + chunk(b"prVt") * (MEBIBYTES // 12) + PNG[33:],
    "gif comments": before_picture(b"\x21\xfe\1a\0"),
    "gif one long comment": GIF[:COLOURS] + b"\x21\xfe" + b"\1a" * MAX_PARTS + b"\0,",
    "gif bytes that are nothing": before_picture(b"\0"),
}


@pytest.mark.parametrize("name", PADDED)
def test_jpeg_with_padding_is_the_same_picture(name: str) -> None:
    def read() -> None:
        assert check_header(PADDED[name], LIMITS).format == "JPEG"
        found = decode(PADDED[name], LIMITS).image
        assert found.tobytes() == decode(JPEG, LIMITS).image.tobytes()

    assert takes_less_than(2, read), "Pillow alone takes 13 s for the fill bytes"


@pytest.mark.parametrize("name", TOO_MANY)
def test_file_of_too_many_parts_is_refused_at_once(name: str) -> None:
    def read() -> None:
        for look in (check_header, decode):
            with pytest.raises(BadImage, match=f"more than {MAX_PARTS} parts") as caught:
                look(TOO_MANY[name], LIMITS)
            assert caught.value.code == "cannot_be_decoded"

    assert takes_less_than(2, read)


def test_ordinary_files_are_far_from_the_bound() -> None:
    noise = Image.effect_noise((2000, 2000), 90)
    for name in ("PNG", "GIF", "JPEG"):
        assert check_header(encoded(noise.convert("L"), name), LIMITS).format == name
