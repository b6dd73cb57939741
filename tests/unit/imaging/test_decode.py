"""Checking and decoding uploaded bytes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from testkit.images.hostile_files import png
from testkit.images.pictures import crops_of_photos, encoded
from testkit.images.reading import Limits, read_pixels
from visionfleet.errors import BadImage
from visionfleet.imaging.decode import check_header, decode
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.imaging.preprocess import prepare

LIMITS = Limits(
    max_bytes=1_000_000,
    max_pixels=1_000_000,
    formats=("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"),
)

LIMITS_OF_LARGE = Limits(50_000_000, 50_000_000, ("JPEG",))


def seen(data: bytes, side: int = 8) -> Pixels:
    """What a model of so many pixels sees."""
    return read_pixels(data, LIMITS, Preprocessing(side, side, (0, 0, 0), (1, 1, 1)))


def colour(data: bytes) -> tuple[int, ...]:
    return tuple(int(value) for value in seen(data)[3, 3])


RED = Image.new("RGB", (40, 20), "red")
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.mark.parametrize("format_", ["BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP"])
def test_image_format_is_detected_by_content(format_: str) -> None:
    header = check_header(encoded(RED, format_), LIMITS)
    assert (header.format, header.width, header.height) == (format_, 40, 20)
    assert header.content_type.startswith("image/")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"just text, whatever its name", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_an_image"),
        (encoded(NOISE, "PPM"), "not_an_image"),  # a format that Pillow knows, but not the list
        (bytes(1_000_001), "too_large"),
        (png(20_000, 20_000), "too_many_pixels"),
        (png(2_000, 2_000), "too_many_pixels"),
        (png(65_000, 65_000), "too_many_pixels"),
    ],
)
def test_bad_images_are_refused_by_their_header(data: bytes, code: str) -> None:
    for gate in (check_header, decode):
        with pytest.raises(BadImage) as caught:
            gate(data, LIMITS)
        assert caught.value.code == code


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_truncated_images_are_refused(format_: str) -> None:
    whole = encoded(NOISE, format_)
    with pytest.raises(BadImage) as caught:
        decode(whole[: len(whole) // 2], LIMITS)
    assert caught.value.code in {"cannot_be_decoded", "not_an_image"}


def test_truncated_jpeg_passes_the_header_check_only() -> None:
    data = encoded(NOISE, "JPEG")[:-200]
    check_header(data, LIMITS)
    with pytest.raises(BadImage, match=r"cannot be decoded: the file is cut short$"):
        decode(data, LIMITS)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = Image.new("RGB", (64, 32), "white")
    upright.paste("red", (16, 0, 32, 16))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    turned = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = seen(encoded(turned, "JPEG", exif=exif, quality=95, subsampling=0), 32)
    red, green, _ = pixels[4, 4]
    assert (red > 200, green < 60) == (True, True)
    assert pixels[28, 28].min() > 200


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (8, 8), (255, 0, 0, 0)),
        Image.new("LA", (8, 8), (0, 0)),
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).convert("P"),
    ],
    ids=["RGBA", "LA", "P"],
)
def test_transparency_is_flattened_on_white(image: Image.Image) -> None:
    data = encoded(image, transparency=0) if image.mode == "P" else encoded(image)
    assert colour(data) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image", "format_"),
    [
        (Image.new("CMYK", (8, 8)), "JPEG"),
        (Image.new("L", (8, 8), 128), "PNG"),
        (Image.new("1", (8, 8)), "PNG"),
    ],
    ids=["CMYK", "grey", "bilevel"],
)
def test_every_pixel_mode_becomes_rgb(image: Image.Image, format_: str) -> None:
    assert seen(encoded(image, format_)).shape == (8, 8, 3)


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    deep = Image.fromarray(np.full((8, 8), 128 * 256, np.uint16))
    assert colour(encoded(deep)) == (128, 128, 128)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert colour(data) == (255, 0, 0)


def test_large_jpeg_is_decoded_at_a_reduced_size() -> None:
    large = NOISE.resize((900, 600))
    assert decode(encoded(large, "JPEG"), LIMITS, shorter_side=37).image.size == (225, 150)
    assert decode(encoded(large, "JPEG"), LIMITS, shorter_side=75).image.size == (450, 300)
    assert decode(encoded(large, "JPEG"), LIMITS, shorter_side=76).image.size == (900, 600)


def test_decoding_needs_no_file_name(tmp_path: Path) -> None:
    assert check_header(encoded(RED, "WEBP"), LIMITS).content_type == "image/webp"


@pytest.mark.parametrize("size", [(1001, 763), (763, 1001), (2047, 1531), (1030, 515)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_reduced_size_keeps_the_square_that_is_seen(
    size: tuple[int, int], orientation: int
) -> None:
    """Sides of odd lengths are rounded up when they are halved; the square must not move by it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = crops_of_photos(1)[0].resize(size, Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95, subsampling=0, exif=exif)
    how = Preprocessing(37, 32, (0, 0, 0), (1, 1, 1))
    reduced, whole = decode(data, LIMITS_OF_LARGE, how.resize), decode(data, LIMITS_OF_LARGE)
    assert reduced.image.width < whole.image.width
    difference = np.abs(prepare(reduced, how).astype(int) - prepare(whole, how))
    assert difference.max() <= 2
    assert difference.mean() <= 0.25
