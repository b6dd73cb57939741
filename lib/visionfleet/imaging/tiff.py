"""Extends Pillow's TIFF reader: kinds missing in its table, and unusual colour maps."""

import sys

from PIL import Image, ImagePalette, TiffImagePlugin

from visionfleet.errors import BadImage
from visionfleet.imaging.tones import tags

_BITS_PER_SAMPLE, _PLANAR, _COLOR_MAP = 258, 284, 320
_SEPARATE = 2
_LITTLE, _BIG = b"II", b"MM"
_UNSIGNED, _VOID = (1,), (4,)

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
TiffImagePlugin.OPEN_INFO.update(_more_kinds())  # type: ignore[arg-type]


def load(image: Image.Image) -> Image.Image:
    """Decode an opened image as stored; EXIF is not read, as malformed entries would be fatal."""
    _mend_palette(image)
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
