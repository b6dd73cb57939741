"""Over 150 ways of writing a picture, each with how far a model may see it from the original.

A way takes an RGB picture and gives a file. `tolerance` is the mean difference of its pixels, of
255, to those of the original in PNG; `grey` ways are compared with the picture in grey.
"""

import io
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageCms, PngImagePlugin

from testkit.images.icc import ADOBE_RGB, DISPLAY_P3, PROPHOTO_RGB
from testkit.images.odd_ways import odd_ways

Write = Callable[[Image.Image], bytes]
# What turns an upright picture into the one that a camera of this orientation stores.
_UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Way:
    name: str
    write: Write
    tolerance: float
    grey: bool = False


def ways() -> list[Way]:
    usual = [*_jpeg(), *_png(), *_webp(), *_tiff(), *_others(), *_oriented(), *_profiled()]
    return usual + [Way(*odd) for odd in odd_ways()]


def save(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def _saved(format_: str, mode: str = "RGB", **options: Any) -> Write:
    return lambda image: save(image.convert(mode), format_, **options)


def _jpeg() -> Iterator[Way]:
    for quality in (75, 90, 95):
        for subsampling in (0, 1, 2):
            for progressive in (False, True):
                options: dict[str, Any] = {"quality": quality, "subsampling": subsampling}
                options["progressive"] = progressive
                kind = "progressive" if progressive else "baseline"
                name = f"JPEG {kind} q{quality} s{subsampling}"
                yield Way(name, _saved("JPEG", **options), 4.0)
    special: dict[str, dict[str, Any]] = {
        "optimised": {"optimize": True},
        "with restart markers": {"restart_marker_blocks": 4},
        "in RGB": {"keep_rgb": True},
        "with a comment": {"comment": b"x" * 60_000},
        "with a density": {"dpi": (300, 300)},
    }
    for name, more in special.items():
        yield Way(f"JPEG {name}", _saved("JPEG", quality=95, subsampling=0, **more), 2.0)
    whole = _saved("JPEG", quality=95, subsampling=0)
    yield Way("JPEG of grey", _saved("JPEG", "L", quality=95), 2.0, grey=True)
    yield Way("JPEG of CMYK", _saved("JPEG", "CMYK", quality=95, subsampling=0), 3.0)
    yield Way("JPEG without its end marker", lambda image: whole(image)[:-2], 2.0)
    yield Way("JPEG with rubbish behind", lambda image: whole(image) + b"rubbish" * 999, 2.0)
    yield Way("JPEG with fill bytes", lambda image: _filled(whole(image)), 2.0)
    yield Way("MPO of two frames", lambda image: _frames(image, "MPO", quality=95), 3.0)


def _png() -> Iterator[Way]:
    for level in (0, 1, 9):
        yield Way(f"PNG level {level}", _saved("PNG", compress_level=level), 0.0)
    yield Way("PNG with opaque alpha", _saved("PNG", "RGBA"), 1.0)
    yield Way("PNG with a transparent colour", _saved("PNG", transparency=(1, 2, 3)), 1.0)
    yield Way("PNG of grey", _saved("PNG", "L"), 0.0, grey=True)
    yield Way("PNG of grey and alpha", _saved("PNG", "LA"), 1.0, grey=True)
    yield Way("PNG of 16 bit grey", lambda image: save(_deep(image), "PNG"), 1.0, grey=True)
    yield Way("PNG of a palette", lambda image: save(image.quantize(256), "PNG"), 8.0)
    yield Way("PNG of a palette of 16", lambda image: save(image.quantize(16), "PNG"), 20.0)
    yield Way("APNG", lambda image: _frames(image, "PNG"), 0.0)
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile", "x" * 2_000_000, zip=True)
    yield Way("PNG with large text", _saved("PNG", pnginfo=text), 0.0)
    profile = _srgb() + bytes(2_000_000)
    yield Way("PNG with a large profile", _saved("PNG", icc_profile=profile), 1.0)


def _webp() -> Iterator[Way]:
    yield Way("WebP lossless", _saved("WEBP", lossless=True), 0.0)
    yield Way("WebP lossless RGBA", _saved("WEBP", "RGBA", lossless=True), 1.0)
    for quality in (75, 90, 100):
        yield Way(f"WebP q{quality}", _saved("WEBP", quality=quality), 5.0)
    yield Way("WebP of grey", _saved("WEBP", "L", lossless=True), 1.0, grey=True)
    yield Way("WebP animated", lambda image: _frames(image, "WEBP", lossless=True), 1.0)


def _tiff() -> Iterator[Way]:
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"):
        name = f"TIFF {compression or 'raw'}"
        yield Way(name, _saved("TIFF", compression=compression), 0.0)
        yield Way(f"{name} RGBA", _saved("TIFF", "RGBA", compression=compression), 1.0)
        yield Way(f"{name} of grey", _saved("TIFF", "L", compression=compression), 0.0, grey=True)
    yield Way("TIFF with JPEG inside", _saved("TIFF", compression="jpeg", quality=95), 4.0)
    yield Way("TIFF of CMYK", _saved("TIFF", "CMYK"), 1.0)
    yield Way("TIFF of Lab", lambda image: save(_lab(image), "TIFF"), 3.0)
    yield Way("TIFF of a palette", lambda image: save(image.quantize(256), "TIFF"), 8.0)
    yield Way("TIFF of pages", lambda image: _frames(image, "TIFF"), 0.0)
    yield Way("BigTIFF", _saved("TIFF", big_tiff=True), 0.0)
    for name, values in {
        "16 bit": (np.uint16, 257.0),
        "32 bit of bytes": (np.int32, 1.0),
        "32 bit of words": (np.int32, 257.0),
        "float to 1": (np.float32, 1 / 255),
        "float to 255": (np.float32, 1.0),
    }.items():
        yield Way(f"TIFF of {name}", _scaled(*values), 1.0, grey=True)


def _scaled(kind: Any, factor: float) -> Write:
    def write(image: Image.Image) -> bytes:
        grey = np.asarray(image.convert("L"), np.float64) * factor
        grey[0, 0] = 255 * factor  # the largest value tells what is white
        return save(Image.fromarray(grey.astype(kind)), "TIFF")

    return write


def _others() -> Iterator[Way]:
    yield Way("BMP", _saved("BMP"), 0.0)
    yield Way("BMP of grey", _saved("BMP", "L"), 0.0, grey=True)
    yield Way("BMP of a palette", lambda image: save(image.quantize(256), "BMP"), 8.0)
    yield Way("BMP with alpha", _saved("BMP", "RGBA"), 1.0)
    yield Way("BMP with unset alpha", _unset_alpha, 1.0)
    yield Way("GIF", lambda image: save(image.quantize(256), "GIF"), 8.0)
    yield Way("GIF animated", lambda image: _frames(image.quantize(256), "GIF"), 8.0)
    for quality in (50, 75, 90, 100):
        yield Way(f"AVIF q{quality}", _saved("AVIF", quality=quality, speed=8), 6.0)
    for subsampling in ("4:2:0", "4:2:2", "4:4:4"):
        name = f"AVIF {subsampling}"
        yield Way(name, _saved("AVIF", quality=90, subsampling=subsampling, speed=8), 4.0)
    yield Way("AVIF with alpha", _saved("AVIF", "RGBA", quality=90, speed=8), 4.0)
    yield Way("AVIF animated", lambda image: _frames(image, "AVIF", quality=90, speed=8), 4.0)
    for quality in (60, 90):
        yield Way(f"HEIC q{quality}", _heic(quality=quality), 6.0)
    yield Way("HEIC 4:4:4", _heic(quality=90, chroma=444), 4.0)


def _heic(quality: int, **options: Any) -> Write:
    def write(image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, quality=quality, **options)
        return buffer.getvalue()

    return write


def _oriented() -> Iterator[Way]:
    options: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "PNG": {},
        "WEBP": {"lossless": True},
        "TIFF": {},
        "AVIF": {"quality": 95, "speed": 8},
    }
    for format_, more in options.items():
        for orientation in _UNDO:
            write = _turned(format_, orientation, more)
            yield Way(f"{format_} orientation {orientation}", write, 4.0)
    for name, entry in _ODD_ENTRIES.items():
        yield Way(f"JPEG with odd EXIF: {name}", _odd_exif(entry), 3.0)


def _turned(format_: str, orientation: int, options: dict[str, Any]) -> Write:
    def write(image: Image.Image) -> bytes:
        undo = _UNDO[orientation]
        stored = image if undo is None else image.transpose(undo)
        exif = Image.Exif()
        exif[0x0112] = orientation
        return save(stored, format_, exif=exif, **options)

    return write


_ODD_ENTRIES = {
    "resolution as text": (0x011A, 2, 4, b"72\0\0"),
    "unit as text": (0x0128, 2, 3, b"in\0\0"),
    "resolution of unknown type": (0x011A, 7, 4, b"\xff\xff\xff\xff"),
    "positioning beyond its range": (0x0213, 4, 1, struct.pack("<L", 100_000)),
    "negative width": (0x0100, 9, 1, struct.pack("<l", -1)),
    "artist as a fraction": (0x013B, 5, 1, struct.pack("<L", 0xFFFFFFF0)),
    "pointer before the start": (0x8769, 9, 1, struct.pack("<l", -5)),
    "directory within itself": (0x8825, 13, 1, struct.pack("<L", 8)),
    "endless note": (0x927C, 7, 0xFFFFFFFF, bytes(4)),
}


def _odd_exif(entry: tuple[int, int, int, bytes]) -> Write:
    def write(image: Image.Image) -> bytes:
        stored = save(image.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95)
        rows = sorted([entry, (0x0112, 3, 1, struct.pack("<HH", 6, 0))])
        body = b"".join(struct.pack("<HHL", *row[:3]) + row[3] for row in rows)
        tiff = b"II*\0" + struct.pack("<LH", 8, len(rows)) + body + bytes(4)
        segment = b"Exif\0\0" + tiff
        return stored[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + stored[2:]

    return write


def _profiled() -> Iterator[Way]:
    profiles = {"Display P3": DISPLAY_P3, "Adobe RGB": ADOBE_RGB, "ProPhoto": PROPHOTO_RGB}
    formats: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "PNG": {},
        "WEBP": {"lossless": True},
        "TIFF": {},
        "AVIF": {"quality": 95, "speed": 8},
    }
    for name, profile in profiles.items():
        for format_, options in formats.items():
            yield Way(f"{format_} in {name}", _in_profile(profile, format_, options), 5.0)


def _in_profile(profile: bytes, format_: str, options: dict[str, Any]) -> Write:
    def write(image: Image.Image) -> bytes:
        wide = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, srgb, wide, outputMode="RGB")
        assert converted is not None
        return save(converted, format_, icc_profile=profile, **options)

    return write


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _frames(image: Image.Image, format_: str, **options: Any) -> bytes:
    other = Image.new(image.mode, image.size)
    return save(image, format_, save_all=True, append_images=[other], **options)


def _filled(jpeg: bytes) -> bytes:
    """Fill bytes may stand before any marker (ITU-T T.81, B.1.1.2)."""
    return jpeg[:2] + b"\xff\xff\xff" + jpeg[2:]


def _deep(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def _lab(image: Image.Image) -> Image.Image:
    lab = ImageCms.createProfile("LAB")
    made = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    assert made is not None
    return made


def _unset_alpha(image: Image.Image) -> bytes:
    bmp = bytearray(save(image.convert("RGBA"), "BMP"))
    start = int.from_bytes(bmp[10:14], "little")
    bmp[start + 3 :: 4] = bytes(len(bmp[start + 3 :: 4]))
    return bytes(bmp)
