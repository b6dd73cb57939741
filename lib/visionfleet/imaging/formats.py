"""Accepted formats, and recognition of other files by their signature."""

from collections.abc import Sequence

# Pillow's names, with media types. HEIF includes HEIC.
CONTENT_TYPES = {
    "AVIF": "image/avif",
    "BMP": "image/bmp",
    "GIF": "image/gif",
    "HEIF": "image/heic",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG followed by further pictures, as by some phones
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "WEBP": "image/webp",
}

# Other files that people upload: signature, offset, name.
_SIGNATURES = (
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"\xff\xd8\xff", "a JPEG file"),
    (0, b"\x89PNG", "a PNG file"),
    (0, b"GIF8", "a GIF file"),
    (0, b"II*\x00", "a TIFF file or a camera's raw file"),
    (0, b"MM\x00*", "a TIFF file or a camera's raw file"),
    (0, b"II+\x00", "a BigTIFF file"),
    (0, b"MM\x00+", "a BigTIFF file"),
    (0, b"IIRO", "a camera's raw file"),
    (0, b"IIU\x00", "a camera's raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (8, b"WEBP", "a WebP file"),
    (8, b"WAVE", "a WAV file"),
    (8, b"AVI ", "an AVI video"),
    (0, b"BM", "a BMP file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"\x00\x00\x01\x00", "an icon file"),
    (0, b"\x00\x00\x02\x00", "a cursor file"),
    (0, b"icns", "an icon file"),
    (0, b"qoif", "a QOI file"),
    (0, b"DDS ", "a DDS file"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (0, b"#?RADIANCE", "a Radiance HDR file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"ID3", "an MP3 file"),
)
_ISO_MEDIA = {
    b"avi": "an AVIF file",
    b"hei": "a HEIC file",
    b"hev": "a HEIC sequence",
    b"mif": "a HEIF file",
    b"msf": "a HEIF sequence",
    b"crx": "a camera's raw file",
}


def name_of(data: bytes) -> str:
    """What a file is by its signature, e.g. `a JPEG XL file`; empty if unknown."""
    if data[4:8] == b"ftyp":
        return _ISO_MEDIA.get(data[8:11], "a video")
    for place, signature, name in _SIGNATURES:
        if data.startswith(signature, place):
            return name
    head = data[:1024].lstrip().lower()
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if head[:1] in (b"{", b"["):
        return "a JSON document"
    netpbm = head[:1] == b"p" and head[1:2] in b"1234567f" and head[2:3].isspace()
    return "a Netpbm file" if netpbm else ""


def is_file(data: bytes) -> bool:
    """Whether it is a known kind of file, and not text, which may start with `BM` too."""
    return b"\0" in data[:32] and bool(name_of(data))


def is_accepted(name: str, formats: Sequence[str]) -> bool:
    """Whether a name by `name_of` is one of these formats."""
    plain = name.partition(" or ")[0]
    pillow = {"a HEIC file": "HEIF", "a BigTIFF file": "TIFF"}.get(plain)
    return any(
        plain.upper() in {f"A {known} FILE", f"AN {known} FILE"} or known == pillow
        for known in formats
    )
