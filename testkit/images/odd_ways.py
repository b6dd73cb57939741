"""Ways of writing that few programs use, put together by hand, each seen as its original.

A way of another program's habit, a metadata block that is broken where nobody looks, or a kind that
a decoder is known to get wrong.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from testkit.images.containers import CONTAINERS, Record, png_chunk
from testkit.images.pictures import encoded
from testkit.images.tiff import Tags, tiff

_Write = Callable[[Image.Image], bytes]
# Name, how, tolerance, and whether it is a picture in grey.
OddWay = tuple[str, _Write, float, bool]
_Array = npt.NDArray[Any]


def odd_ways() -> Iterator[OddWay]:
    yield from _greys()
    yield from _colours()
    yield from _pngs()
    yield from _other_formats()


def _grey(image: Image.Image) -> _Array:
    return np.asarray(image.convert("L")).astype(np.uint32)


def _rgb(image: Image.Image) -> _Array:
    return np.asarray(image).astype(np.uint32)


def _greys() -> Iterator[OddWay]:
    """TIFFs of grey: bits, signs, byte orders, and white that is zero."""
    for order in ("<", ">"):
        for inverted in (False, True):
            for name, kind, bits, form in (
                ("16 bit", "u2", 16, 1),
                ("32 bit full range", "u4", 32, 1),
                ("float", "f4", 32, 3),
            ):
                way = "TIFF" + (" big-endian" if order == ">" else "") + f" grey of {name}"
                write = _deep(order, kind, bits, form, inverted)
                yield way + (", white is zero" if inverted else ""), write, 1.0, True
    for photometric in (0, 1):
        yield f"TIFF grey of 12 bit, {photometric}", _twelve(photometric), 1.0, True
        write = _with_alpha(np.uint8, photometric)
        yield f"TIFF grey and alpha, {photometric}", write, 1.0, True
    yield "TIFF grey and alpha of 16 bit", _with_alpha(np.uint16, 1), 1.0, True
    yield "TIFF grey without photometric", _without_photometric, 0.0, True
    for order in ("<", ">"):
        for compression in (1, 8):
            yield f"BigTIFF {order} {compression}", _bigtiff(order, compression), 0.0, True


def _deep(order: str, kind: str, bits: int, form: int, inverted: bool) -> _Write:
    def write(image: Image.Image) -> bytes:
        share = _grey(image) / 255
        share[0, 0] = 1.0
        full = 1.0 if kind == "f4" else float(2**bits - 1)
        values = ((1 - share) if inverted else share) * full
        tags: Tags = {258: [bits], 262: [0 if inverted else 1], 339: [form]}
        return tiff(values.astype(order + kind).tobytes(), image.size, tags, order)

    return write


def _twelve(photometric: int) -> _Write:
    def write(image: Image.Image) -> bytes:
        values = _grey(image) * 4095 // 255
        pairs = (values if photometric else 4095 - values).reshape(-1, 2)
        packed = (pairs[:, 0] << 12 | pairs[:, 1]).astype(">u4").view(np.uint8)
        body = packed.reshape(-1, 4)[:, 1:].tobytes()
        return tiff(body, image.size, {258: [12], 262: [photometric]})

    return write


def _with_alpha(kind: Any, photometric: int) -> _Write:
    def write(image: Image.Image) -> bytes:
        most = np.iinfo(kind).max
        grey = (_grey(image) * (most // 255)).astype(kind)
        grey = grey if photometric else most - grey
        both = np.dstack([grey, np.full_like(grey, most)])
        bits = [most.bit_length()] * 2
        return tiff(both.tobytes(), image.size, {258: bits, 262: [photometric], 277: [2]})

    return write


def _without_photometric(image: Image.Image) -> bytes:
    return tiff(_grey(image).astype(np.uint8).tobytes(), image.size, {258: [8]})


def _bigtiff(order: str, compression: int) -> _Write:
    """The directory first; every value fits its entry."""

    def write(image: Image.Image) -> bytes:
        pixels = image.convert("L").tobytes()
        body = pixels if compression == 1 else zlib.compress(pixels)
        tags = {256: image.width, 257: image.height, 258: 8, 259: compression, 262: 1}
        tags |= {273: 16 + 8 + 20 * 8 + 8, 277: 1, 279: len(body)}
        entries = (struct.pack(order + "HHQQ", tag, 16, 1, tags[tag]) for tag in sorted(tags))
        head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HHHQQ", 43, 8, 0, 16, 8)
        return head + b"".join(entries) + bytes(8) + body

    return write


def _colours() -> Iterator[OddWay]:
    """TIFFs of colours: planes, odd samples, subsampling, orientations of other types."""
    yield "TIFF of planes of 16 bit", _planes, 1.0, False
    yield "TIFF of void samples", _plain({339: [4] * 3}), 0.0, False
    yield "TIFF without byte counts", _plain({279: []}), 0.0, False
    yield "TIFF with a pointer before its start", _plain({34665: ("l", [-5])}), 0.0, False
    yield "TIFF of CMYK and alpha", _cmyk_and_alpha, 1.0, False
    yield "TIFF of subsampled colours", _subsampled, 4.0, False
    for name, code in {"byte": "B", "short": "H", "long": "L"}.items():
        yield f"TIFF with its orientation as {name}", _turned_tiff(code), 1.0, False
    for bits, tolerance in ((1, 80.0), (2, 40.0), (4, 25.0)):
        for scale in (1, 257):
            name = f"TIFF of a palette of {bits} bit up to {255 * scale}"
            yield name, _palette_tiff(bits, scale), tolerance, False


def _plain(more: Tags) -> _Write:
    return lambda image: tiff(image.tobytes(), image.size, {**_RGB, **more})


_RGB: Tags = {258: [8] * 3, 262: [2], 277: [3]}


def _planes(image: Image.Image) -> bytes:
    deep = (_rgb(image) * 257).astype(np.uint16)
    planes = [deep[:, :, band].tobytes() for band in range(3)]
    return tiff(planes, image.size, {**_RGB, 258: [16] * 3, 284: [2]})


def _cmyk_and_alpha(image: Image.Image) -> bytes:
    inks = np.asarray(image.convert("CMYK"))
    both = np.dstack([inks, np.full(inks.shape[:2], 255, np.uint8)])
    tags: Tags = {258: [8] * 5, 262: [5], 277: [5], 338: [2]}
    return tiff(both.tobytes(), image.size, tags)


def _subsampled(image: Image.Image) -> bytes:
    values = np.asarray(image.convert("YCbCr"))
    corners = [values[down::2, across::2, 0] for down in (0, 1) for across in (0, 1)]
    blocks = np.stack([*corners, values[::2, ::2, 1], values[::2, ::2, 2]], -1)
    return tiff(blocks.tobytes(), image.size, {**_RGB, 262: [6], 530: [2, 2]})


def _turned_tiff(code: str) -> _Write:
    def write(image: Image.Image) -> bytes:
        stored = image.transpose(Image.Transpose.ROTATE_90)
        return tiff(stored.tobytes(), stored.size, {**_RGB, 274: (code, [6])})

    return write


def _palette_tiff(bits: int, scale: int) -> _Write:
    def write(image: Image.Image) -> bytes:
        few = image.quantize(1 << bits)
        colours = np.resize(few.getpalette() or [], (1 << bits, 3))
        table = [int(value) * scale for band in colours.T for value in band]
        places = np.asarray(few).reshape(image.height, -1, 8 // bits).astype(np.uint32)
        shifts = np.arange(8 // bits)[::-1] * bits
        packed = (places << shifts).sum(axis=2).astype(np.uint8)
        return tiff(packed.tobytes(), image.size, {258: [bits], 262: [3], 320: table})

    return write


def _pngs() -> Iterator[OddWay]:
    """PNGs with more about their colours than a profile, and with what nobody need look at."""
    linear = struct.pack(">L", 100_000)
    yield "PNG of linear light", _linear, 6.0, False
    both = [(b"sRGB", b"\0"), (b"gAMA", linear)]
    yield "PNG of sRGB and a gamma to be ignored", _more_chunks(*both), 0.0, False
    gamma = (b"gAMA", struct.pack(">L", 45_455))
    yield "PNG with the gamma of sRGB", _more_chunks(gamma), 1.0, False
    yield "PNG with a gamma of zero", _more_chunks((b"gAMA", bytes(4))), 0.0, False
    bomb = b"k\0\0" + zlib.compress(bytes(40_000_000))
    yield "PNG with text that is a bomb", _more_chunks((b"zTXt", bomb)), 0.0, False
    yield "PNG with a profile of no name", _more_chunks((b"iCCP", bomb[2:99])), 0.0, False
    yield "PNG with a profile of rubbish", _more_chunks((b"iCCP", b"x\0\0rubbish")), 0.0, False
    yield "PNG with frames out of order", _more_chunks((b"fcTL", bytes(26))), 0.0, False
    yield "PNG with a wrong sum of its text", _wrong_sum, 0.0, False
    yield "PNG with an unused transparent grey", _deep_transparency, 1.0, True


def _more_chunks(*chunks: Record) -> _Write:
    return lambda image: _png_with(image, *chunks)


def _png_with(image: Image.Image, *chunks: Record) -> bytes:
    container = CONTAINERS["PNG"]
    start, *rest = container.split(encoded(image, "PNG"))
    return container.join([start, *chunks, *rest])


def _linear(image: Image.Image) -> bytes:
    light = Image.fromarray(np.rint((_rgb(image) / 255) ** 2.2 * 255).astype(np.uint8))
    return _png_with(light, (b"gAMA", struct.pack(">L", 100_000)))


def _wrong_sum(image: Image.Image) -> bytes:
    chunk = bytearray(png_chunk(b"tEXt", b"a\0b"))
    chunk[-1] ^= 1
    whole = encoded(image, "PNG")
    return whole[:33] + bytes(chunk) + whole[33:]


def _deep_transparency(image: Image.Image) -> bytes:
    deep = Image.fromarray((_grey(image) * 257).astype(np.uint16))
    return _png_with(deep, (b"tRNS", struct.pack(">H", 12_345)))


def _other_formats() -> Iterator[OddWay]:
    yield "JPEG with a short Adobe segment", _jpeg_with((b"\xff\xee", b"Adobe")), 3.0, False
    yield "JPEG with a short JFIF segment", _jpeg_with((b"\xff\xe0", b"JFIF\0")), 3.0, False
    yield "GIF that begins with nothing", _gif_after_nothing, 9.0, False
    yield "BMP of 16 bit", _bmp_of_16_bit, 6.0, False


def _jpeg_with(segment: Record) -> _Write:
    def write(image: Image.Image) -> bytes:
        container = CONTAINERS["JPEG"]
        records = container.split(encoded(image, "JPEG", quality=95, subsampling=0))
        others = [record for record in records if record[0] != segment[0]]
        return container.join([segment, *others])

    return write


def _gif_after_nothing(image: Image.Image) -> bytes:
    few = image.quantize(255)
    nothing = Image.new("P", image.size, 255)
    nothing.putpalette(few.getpalette() or [])
    options: dict[str, Any] = {"save_all": True, "append_images": [few], "transparency": 255}
    return encoded(nothing, "GIF", optimize=False, disposal=1, **options)


def _bmp_of_16_bit(image: Image.Image) -> bytes:
    red, green, blue = (_rgb(image)[::-1, :, band] for band in range(3))
    body = (red >> 3 << 10 | green >> 3 << 5 | blue >> 3).astype("<u2").tobytes()
    width, height = image.size
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 16, 0, len(body), 0, 0, 0, 0)
    return b"BM" + struct.pack("<LLL", 54 + len(body), 0, 54) + header + body
