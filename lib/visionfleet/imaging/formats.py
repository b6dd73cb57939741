"""Accepted formats, and recognition of other files by their signature."""

import re
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
    # First, as some begin like a PNG. UTF-8 of the bytes, lost or taken for Latin-1; line ends.
    *(
        (0, start, "an image that was read or sent as text, which destroys it")
        for start in (
            b"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd",
            b"\xef\xbf\xbdPNG",
            b"\xc3\xbf\xc3\x98\xc3\xbf",
            b"\xc2\x89PNG",
            b"\x89PNG\n\x1a\n",
            b"\x89PNG\r\r\n\x1a\r\n",
        )
    ),
    (0, b"\xff\x0a", "a JPEG XL file"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL file"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 file"),
    (0, b"\xff\xd8\xff\xf7", "a JPEG-LS file"),
    (0, b"\xff\xd8\xff", "a JPEG file"),
    (0, b"II\xbc", "a JPEG XR file"),
    (0, b"\x89PNG", "a PNG file"),
    (0, b"\x8bJNG", "a JNG file"),
    (0, b"\x8aMNG", "an MNG animation"),
    (0, b"GIF8", "a GIF file"),
    (0, b"II*\x00", "a TIFF file or a camera's raw file"),
    (0, b"MM\x00*", "a TIFF file or a camera's raw file"),
    (0, b"II+\x00", "a BigTIFF file"),
    (0, b"MM\x00+", "a BigTIFF file"),
    (0, b"IIRO", "a camera's raw file"),
    (0, b"IIU\x00", "a camera's raw file"),
    (0, b"\x00MRM", "a camera's raw file"),
    (0, b"FOVb", "a camera's raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (8, b"WEBP", "a WebP file"),
    (8, b"WAVE", "a WAV file"),
    (8, b"AVI ", "an AVI video"),
    (8, b"ACON", "a cursor file"),
    (0, b"BM", "a BMP file"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"gimp xcf", "a GIMP file"),
    (0, b"icns", "an icon file"),
    (0, b"/* XPM */", "an XPM icon"),
    (0, b"qoif", "a QOI file"),
    (0, b"DDS ", "a DDS file"),
    (0, b"\xabKTX ", "a KTX file"),
    (0, b"BPG\xfb", "a BPG file"),
    (0, b"FLIF", "a FLIF file"),
    (0, b"\x97JB2", "a JBIG2 file"),
    (0, b"\x01\xda", "an SGI file"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (0, b"#?R", "a Radiance HDR file"),
    (0, b"SIMPLE  =", "a FITS file"),
    (128, b"DICM", "a DICOM file"),
    (344, b"n+1\x00", "a NIfTI file"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "a Windows metafile"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"%!PS", "a PostScript document"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xfd7zXZ", "an xz file"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x30\x26\xb2\x75", "a Windows Media file"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"\x00\x00\x01\xb3", "an MPEG video"),
    *((4, kind, "a video") for kind in (b"moov", b"mdat", b"wide", b"pnot")),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"\xff\xfb", "an MP3 file"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ\x90\x00", "a program"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"bplist00", "a property list"),
    # Beside each photo on a stick, its name begins with `._`.
    (0, b"\x00\x05\x16\x07", "what macOS keeps beside a file (AppleDouble)"),
    (0, b"version https://git-lfs", "a pointer of Git LFS"),
    (0, b"data:image/", "an image in a data URL"),
    *(
        (0, start, "an image in base64")
        for start in (b"/9j/", b"iVBORw0KGgo", b"R0lGODlh", b"UklGR")
    ),
)
_ICONS = {1: "an icon file", 2: "a cursor file"}
_TARGA_FOOTER = b"TRUEVISION-XFILE.\x00"
_TARGA_KINDS, _TARGA_BITS = {1, 2, 3, 9, 10, 11}, {8, 15, 16, 24, 32}
_TEXT_BYTES = 1 << 14
# Before the root of a document; each goes to the end where it has none, for time.
_PROLOGUE = re.compile(rb"<!--.*?(-->|\Z)|<\?.*?(\?>|\Z)|<!doctype[^>]*", re.DOTALL)
_ROOT = re.compile(rb"<([a-z][\w:-]*)")
_JSON = re.compile(rb"\{\s*[\"}]|\[\s*[\[\]{\"\d-]")
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
    return _without_signature(data) or _text(data)


def _without_signature(data: bytes) -> str:
    """Recognize formats that begin with small numbers only, by plausible values."""
    few, count = data[:4], int.from_bytes(data[4:6], "little")
    if few[:2] == b"\0\0" and few[3:] == b"\0" and few[2] in _ICONS and 0 < count < 256:
        return _ICONS[few[2]]
    if (
        few[:1] == b"\n"
        and few[1:2] in b"\0\2\3\4\5"
        and few[2:3] == b"\1"
        and few[3:] in b"\1\2\4\10"
    ):
        return "a PCX file"
    sized = len(data) > 18 and any(data[12:14]) and any(data[14:16])
    targa = sized and data[1] < 2 and data[2] in _TARGA_KINDS and data[16] in _TARGA_BITS
    return "a TGA file" if targa or data.endswith(_TARGA_FOOTER) else ""


def _text(data: bytes) -> str:
    head = data[:_TEXT_BYTES]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", "ignore").encode()
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(b"<"):
        return _markup(head)
    if _JSON.match(head):
        return "a JSON document"
    if b"%pdf-" in head[:1024]:
        return "a PDF document"
    if head.startswith(b"#define ") and b"_width" in head:
        return "an XBM icon"
    netpbm = head[:1] == b"p" and head[1:2] in b"1234567f" and head[2:3].isspace()
    return "a Netpbm file" if netpbm else ""


def _markup(head: bytes) -> str:
    root = _ROOT.search(_PROLOGUE.sub(b"", head))
    name = root[1].rpartition(b":")[2] if root else b""
    if name == b"svg":
        return "an SVG drawing"
    if name == b"html" or b"<!doctype html" in head:
        return "an HTML page"
    return "an XML document" if head.startswith(b"<?xml") else ""


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
