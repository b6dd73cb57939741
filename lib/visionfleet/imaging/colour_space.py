"""Finds the colour space of a file: its ICC profile, or a description in a few numbers.

PNG has chunks (cICP before iCCP before sRGB before gAMA and cHRM, as in browsers), AVIF and HEIC a
box after ITU-T H.273, BMP its version 5 header.
"""

import struct
from dataclasses import dataclass, replace

from PIL import Image

from visionfleet.imaging import png

Point = tuple[float, float]
_D65: Point = (0.3127, 0.3290)
_SRGB_CURVE = 0.0


@dataclass(frozen=True, slots=True)
class Primaries:
    """CIE 1931 x and y; `gamma` 0 is the sRGB curve."""

    red: Point = (0.640, 0.330)
    green: Point = (0.300, 0.600)
    blue: Point = (0.150, 0.060)
    white: Point = _D65
    gamma: float = _SRGB_CURVE


SRGB = Primaries()
# ITU-T H.273, tables 2 and 3. Video transfer curves are treated as sRGB's, as in browsers, and so
# are HDR curves, as there is no tone mapping.
_PRIMARIES = {
    1: SRGB,
    4: Primaries((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), (0.310, 0.316)),
    5: Primaries((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_CURVES = {1: 0.0, 4: 2.2, 5: 2.8, 6: 0.0, 8: 1.0, 13: 0.0, 14: 0.0, 15: 0.0}
_NCLX = b"colrnclx"
_BOX_SEARCH_BYTES = 1 << 16


def colour_space(image: Image.Image, data: bytes) -> bytes | Primaries | None:
    """The profile of an opened image, or its primaries; None if both are sRGB's."""
    if image.format == "PNG":
        return _of_png(png.colour_chunks(data))
    profile: bytes | None = image.info.get("icc_profile")
    if profile:
        return profile
    if image.format in {"AVIF", "HEIF"}:
        start = data.find(_NCLX, 0, _BOX_SEARCH_BYTES)
        codes = struct.unpack_from(">HH", data, start + len(_NCLX)) if start >= 0 else (1, 13)
        return _coded(*codes)
    return _of_bmp(data) if image.format == "BMP" else None


def _of_png(chunks: dict[bytes, bytes]) -> bytes | Primaries | None:
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4 and coded[0] in _PRIMARIES and coded[1] in _CURVES:
        return _coded(coded[0], coded[1])
    if b"iCCP" in chunks and (profile := png.profile_in(chunks[b"iCCP"])):
        return profile
    gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big")
    if b"sRGB" in chunks or not gamma:
        return None
    points = chunks.get(b"cHRM", b"")
    made = _primaries(points) if len(points) == 32 else SRGB
    # 1/2.2, the exponent of sRGB's encoding, stands for its curve.
    exponent = _SRGB_CURVE if 45_000 <= gamma <= 46_000 else min(10.0, max(0.1, 100_000 / gamma))
    return _unless_srgb(replace(made, gamma=exponent))


def _primaries(chunk: bytes) -> Primaries:
    values = [value / 100_000 for value in struct.unpack(">8L", chunk)]
    white, red, green, blue = ((values[i], values[i + 1]) for i in range(0, 8, 2))
    return Primaries(red, green, blue, white)


def _coded(primaries: int, transfer: int) -> Primaries | None:
    gamma = _CURVES.get(transfer, _SRGB_CURVE)
    return _unless_srgb(replace(_PRIMARIES.get(primaries, SRGB), gamma=gamma))


def _unless_srgb(found: Primaries) -> Primaries | None:
    near = zip(
        (*found.red, *found.green, *found.blue, *found.white, found.gamma),
        (*SRGB.red, *SRGB.green, *SRGB.blue, *SRGB.white, SRGB.gamma),
        strict=True,
    )
    return None if all(abs(one - other) < 0.002 for one, other in near) else found


def _of_bmp(data: bytes) -> bytes | None:
    header = data[14:138]
    if len(header) < 124 or header[:4] != b"\x7c\0\0\0" or header[56:60] != b"DEBM":
        return None
    offset, size = struct.unpack_from("<LL", header, 112)
    return data[14 + offset : 14 + offset + size] or None
