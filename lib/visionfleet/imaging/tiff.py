"""Extends Pillow's TIFF reader: kinds missing in its table, and unusual colour maps."""

import io
import sys

from PIL import Image, ImagePalette, TiffImagePlugin

from visionfleet.errors import BadImage
from visionfleet.imaging.tones import tags

_BITS_PER_SAMPLE, _PLANAR, _COLOR_MAP, _TILE_WIDTH, _TILE_LENGTH = 258, 284, 320, 322, 323
_KIND_TAGS = {
    258: "BitsPerSample",
    339: "SampleFormat",
    262: "PhotometricInterpretation",
    259: "Compression",
}
_SEPARATE = 2
_LITTLE, _BIG = b"II", b"MM"
_UNSIGNED, _VOID = (1,), (4,)

# Pillow expects BigTIFF's magic number 43 at a fixed offset, libtiff in the file's byte order.
_BIG_ENDIAN_BIGTIFF, _BIG_ENDIAN_FOR_PILLOW = b"MM\0+", b"MM+\0"

# Keys of Pillow's table (byte order, photometric interpretation, sample format, fill order, bits,
# extra samples), and its values: mode and raw mode.
_Key = tuple[bytes, int, tuple[int, ...], int, tuple[int, ...], tuple[int, ...]]


def _more_kinds() -> dict[_Key, tuple[str, str]]:
    kinds: dict[_Key, tuple[str, str]] = {}
    for order, deep in ((_LITTLE, "I;16"), (_BIG, "I;16B")):
        for photometric in (0, 1):  # the first is inverted by `tones`
            kinds[order, photometric, _UNSIGNED, 1, (12,), ()] = ("I;16", "I;12")
            kinds[order, photometric, _UNSIGNED, 1, (16,), ()] = (deep, deep)
            kinds[order, photometric, _UNSIGNED, 1, (32,), ()] = ("I", "I;32N")
            kinds[order, photometric, (2,), 1, (32,), ()] = ("I", "I;32NS")
            kinds[order, photometric, (3,), 1, (32,), ()] = ("F", "F;32NF")
            kinds[order, photometric, _UNSIGNED, 1, (8, 8), (0,)] = ("L", "LX")
            for extra, mode in (((), "LA"), ((1,), "La"), ((2,), "LA")):
                kinds[order, photometric, _UNSIGNED, 1, (8, 8), extra] = (mode, mode)
        kinds[order, 1, (2,), 1, (8,), ()] = ("I", "I;8S")
        kinds[order, 1, (2,), 1, (16,), ()] = ("I", "I;16NS")
        for extra in ((), (0,), (2,)):
            kinds[order, 1, _UNSIGNED, 1, (16, 16), extra] = ("RGBX", "RGBX")  # see `load`
        for extra in ((1,), (2,)):  # alpha of CMYK is ignored
            kinds[order, 5, _UNSIGNED, 1, (8,) * 5, extra] = ("CMYK", "CMYKX")
    for key, modes in TiffImagePlugin.OPEN_INFO.items():
        if key[2] == _UNSIGNED and set(key[4]) == {8}:
            kinds[key[0], key[1], _VOID, *key[3:]] = modes
    return kinds


# libtiff handles what Pillow's own reader gets wrong: planes of 16 bits, subsampled colours. It
# returns samples in native byte order, as the table above says.
TiffImagePlugin.READ_LIBTIFF = True
TiffImagePlugin.PREFIXES.append(_BIG_ENDIAN_FOR_PILLOW)
TiffImagePlugin.OPEN_INFO.update(_more_kinds())  # type: ignore[arg-type]


def openable(data: bytes) -> bytes:
    """Rewrite the magic number of a big-endian BigTIFF as Pillow expects it."""
    if not data.startswith(_BIG_ENDIAN_BIGTIFF):
        return data
    return _BIG_ENDIAN_FOR_PILLOW + data[4:]


def kind_of(data: bytes) -> str:
    """The sample format by the first directory; empty if unreadable."""
    try:
        file = io.BytesIO(data)
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if data[2] == 43 else 8])
        file.seek(directory.next)
        directory.load(file)
        values_of = {name: directory.get(tag) for tag, name in _KIND_TAGS.items()}
    except Exception:  # it is asked about files that cannot be read
        return ""
    values = {name: v[0] if isinstance(v, tuple) and v else v for name, v in values_of.items()}
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def tile_bytes(image: Image.Image) -> int:
    """The memory of one tile, which may be larger than the picture; 0 for strips."""
    sides = [*tags(image, _TILE_WIDTH), *tags(image, _TILE_LENGTH)]
    bits = [value for value in tags(image, _BITS_PER_SAMPLE) if isinstance(value, int)]
    if len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return 0
    samples: int = sides[0] * sides[1] * sum(bits or [8])
    return samples // 8


def load(image: Image.Image) -> Image.Image:
    """Decode an opened image as stored; EXIF is not read, as malformed entries would be fatal."""
    _mend_palette(image)
    if (header := image.fp.getbuffer()[:4]) == _BIG_ENDIAN_FOR_PILLOW:  # type: ignore[attr-defined]
        header[:] = _BIG_ENDIAN_BIGTIFF
    image.load_end = lambda: None  # type: ignore[attr-defined]
    image.load()
    image._size = image.im.size  # the stored size; Pillow would rotate the whole picture here
    if image.mode == "RGBX" and tuple(tags(image, _BITS_PER_SAMPLE)) == (16, 16):
        return _grey_and_alpha(image)
    return image


def _grey_and_alpha(image: Image.Image) -> Image.Image:
    """The high bytes of two 16-bit samples, which were read as four bytes."""
    if tags(image, _PLANAR) == (_SEPARATE,):
        raise BadImage("cannot_be_decoded", "the image cannot be decoded: its planes are apart")
    greater = 1 if sys.byteorder == "little" else 0
    channels = image.getchannel(greater), image.getchannel(greater + 2)
    made = Image.merge("LA", channels)
    made.format, made.info = image.format, image.info
    return made


def _mend_palette(image: Image.Image) -> None:
    """Read a colour map as libtiff does: as 0 to 255 if no entry is greater."""
    if image.mode in {"P", "PA"}:
        table = tags(image, _COLOR_MAP)
        if table and max(table) < 256:
            image.palette = ImagePalette.raw("RGB;L", bytes(table))
