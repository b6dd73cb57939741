"""What a file is called that is not accepted, or cannot be read."""

import io
import subprocess
import sys

import pytest
from PIL import Image

from testkit import ROOT
from testkit.images.pictures import encoded, numbered
from testkit.images.reading import Limits, read_pixels
from testkit.images.tiff import tiff
from testkit.processes.cpu_time import takes_less_than
from visionfleet.config import Config
from visionfleet.errors import BadImage
from visionfleet.imaging import cost
from visionfleet.imaging.decode import check_header
from visionfleet.imaging.formats import CONTENT_TYPES, is_accepted, name_of
from visionfleet.imaging.model_input import Preprocessing

EVERY = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "PNG", "TIFF", "WEBP")
LIMITS = Limits(1_000_000, 1_000_000, EVERY)


# A JPEG and a PNG, and what programs make of them that take a file for text.
STARTS = (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
AS_TEXT = (("utf-8", "replace"), ("latin-1", "strict"))
DESTROYED = "an image that was read or sent as text, which destroys it"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a\xfa\x7f", "a JPEG XL file"),
        *((start.decode(*how).encode(), DESTROYED) for start in STARTS for how in AS_TEXT),
        (STARTS[1].replace(b"\r\n", b"\n"), DESTROYED),
        (STARTS[1].replace(b"\n", b"\r\n"), DESTROYED),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL file"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 file"),
        (b"8BPS\x00\x01", "a Photoshop file"),
        (b"\x00\x00\x01\x00\x01\x00", "an icon file"),
        (b"P6\n4 4\n255\n" + bytes(48), "a Netpbm file"),
        (b"%PDF-1.7", "a PDF document"),
        (b'<?xml version="1.0"?><svg/>', "an SVG drawing"),
        (b"<!DOCTYPE html><p>", "an HTML page"),
        (b'{"image": ""}', "a JSON document"),
        (b"\x00\x00\x00\x18ftypmp42", "a video"),
        (b"\x00\x00\x00\x18ftypcrx ", "a camera's raw file"),
        (bytes(128) + b"DICM", "a DICOM file"),
        (encoded(numbered(1), "TGA"), "a TGA file"),  # begins as a cursor does
        (encoded(numbered(1), "PCX"), "a PCX file"),
        (b"\x00\x00\x01\x00moov" + bytes(99), "a video"),  # and this as an icon
        (b"\x00\x00\x00\x08wide\x00\x00", "a video"),
        (b"{\\rtf1 text}", "an RTF document"),
        (b"[ {", "a JSON document"),
        (b'\xef\xbb\xbf<svg xmlns="a"/>', "an SVG drawing"),
        (b"<?xml?><!-- " + b"x" * 3000 + b" --><svg:svg/>", "an SVG drawing"),
        (b"<!DOCTYPE svg PUBLIC 'a'>\n<svg/>", "an SVG drawing"),
        ("<svg/>".encode("utf-16"), "an SVG drawing"),
        (b"<!-- saved --><html><svg/>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>svg</Code></Error>", "an XML document"),
        (b"\n\n%PDF-1.4", "a PDF document"),
        (b"/9j/4AAQSkZJRgABAQ", "an image in base64"),
        (b"data:image/png;base64,iVBORw0KGgo", "an image in a data URL"),
        (b"\xff\xd8\xff\xf7\x00\x0b", "a JPEG-LS file"),
        (b"[section]", ""),
        (b"{name}, hello", ""),
        (b"<3", ""),
        (b"hello", ""),
        (b"", ""),
    ],
)
def test_refused_formats_are_named(data: bytes, name: str) -> None:
    assert name_of(data) == name
    if data:
        with pytest.raises(BadImage, match=name or "not an image of type") as caught:
            check_header(data, LIMITS)
        assert caught.value.code == "not_an_image"
        assert "AVIF, BMP, GIF, HEIF, JPEG, PNG, TIFF, WEBP" in str(caught.value)


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (b"\xff\xd8\xff", "begins like a JPEG file"),
        (b"\x89PNG\r\n\x1a\n", "begins like a PNG file"),
        (b"\x00\x00\x00\x18ftypheic", "begins like a HEIC file"),
        (b"\x00\x00\x00\x18ftypavif", "begins like an AVIF file"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "begins like a WebP file"),
    ],
)
def test_damaged_header_is_not_an_unknown_format(start: bytes, sentence: str) -> None:
    with pytest.raises(BadImage, match=sentence):
        check_header(start, LIMITS)


@pytest.mark.parametrize("part", [b"<!--", b"<?", b"<!doctype", b"<a", b"<!-- -->"])
def test_markup_without_an_end_takes_no_time(part: bytes) -> None:
    assert takes_less_than(1, lambda: name_of(part * 1_000_000))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (
            tiff(bytes(900), (16, 16), {258: [14], 262: [0]}),
            r"BitsPerSample 14, .*Interpretation 0",
        ),
        (tiff(bytes(900), (16, 16), {258: [8], 262: [1], 259: [34712]}), "Compression 34712"),
        (b"\xff\xd8\xff\xc0\0\x11\x0c\0\x40\0\x60" + bytes(20), "SOF0, 12 bits, 96x64"),
        (b"\xff\xd8\xff\xf7\0\x11\x08\0\x40\0\x60" + bytes(20), "JPEG-LS"),
        (b"\xff\xd8\xff\xe8\0\4SP\xff\xf7\0\x11\x08\0\x40\0\x60" + bytes(20), "SOF55"),
        (b"\xff\xd8\xff\xc0\0", "begins like a JPEG file"),
    ],
)
def test_refused_kinds_of_a_format_are_told(data: bytes, kind: str) -> None:
    with pytest.raises(BadImage, match=kind):
        check_header(data, LIMITS)


def test_format_excluded_by_settings_is_named() -> None:
    with pytest.raises(BadImage, match="this is a BMP file; accepted are PNG"):
        check_header(encoded(numbered(1), "BMP"), Limits(1_000_000, 1_000_000, ("PNG",)))


@pytest.mark.parametrize("format_", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_accepted_formats_have_names(format_: str) -> None:
    data = encoded(numbered(1, 64), format_)
    assert is_accepted(name_of(data), (format_,))
    header = check_header(data, LIMITS)
    assert (header.format, header.content_type) == (format_, CONTENT_TYPES[format_])


def test_multi_picture_jpeg_is_a_jpeg() -> None:
    frames = [numbered(number, 64) for number in (1, 2)]
    data = encoded(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert check_header(data, LIMITS).content_type == "image/jpeg"


def jpeg(**options: object) -> bytes:
    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


HOW = Preprocessing(64, 64, (0, 0, 0), (1, 1, 1))


def test_missing_jpeg_end_marker_is_tolerated() -> None:
    whole = jpeg()
    assert (read_pixels(whole[:-2], LIMITS, HOW) == read_pixels(whole, LIMITS, HOW)).all()


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.97])
def test_missing_jpeg_rows_are_refused(kept: float) -> None:
    whole = jpeg()
    with pytest.raises(BadImage) as caught:
        read_pixels(whole[: int(kept * len(whole))], LIMITS, HOW)
    assert caught.value.code == "cannot_be_decoded"


def test_docs_list_accepted_formats() -> None:
    page = (ROOT / "docs" / "images.md").read_text()
    for format_, media_type in CONTENT_TYPES.items():
        assert format_.lower() in page.lower()
        assert f"`{media_type}`" in page
    assert set(Config().images.formats) == set(EVERY)


def test_docs_state_the_limits_of_decoding_cost() -> None:
    page = (ROOT / "docs" / "images.md").read_text()
    assert f"{cost.MAX_DECODE_BYTES >> 20} MiB" in page
    assert f"{cost.MAX_SCANNED_PIXELS:,}" in page


def test_all_readers_are_there_before_the_first_image() -> None:
    script = "import visionfleet.imaging.decode; from PIL import Image; print(*Image.OPEN)"
    run = [sys.executable, "-c", script]
    known = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert set(EVERY) <= set(known)
