"""Builds ICC profiles of colour spaces given by numbers, after ICC.1:2010."""

import struct

import numpy as np
import numpy.typing as npt

from visionfleet.imaging.colour_space import Point, Primaries

_Matrix = npt.NDArray[np.float64]
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(space: Primaries) -> bytes:
    """A profile of three primaries and one curve; unusual primaries are fine."""
    with np.errstate(all="ignore"):
        return matrix_profile(_colorants(space), space.gamma)


def matrix_profile(colorants: _Matrix, gamma: float) -> bytes:
    """A profile of the colorants red, green and blue, one per row, adapted to D50."""
    text = b"desc" + bytes(4) + struct.pack(">L", 5) + b"wide\0" + bytes(78)
    parts = {b"desc": text, b"wtpt": _xyz(_D50)}
    parts |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, colorants), strict=True))
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(gamma))
    start, table, body = 128 + 4 + 12 * len(parts), struct.pack(">L", len(parts)), b""
    for name, part in parts.items():
        table += name + struct.pack(">LL", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    head = struct.pack(">L", start + len(body)) + bytes(4) + b"\x02\x40\0\0"
    head += b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + _fixed(_D50)
    return head.ljust(128, b"\0") + table + body


def _curve(gamma: float) -> bytes:
    if not gamma:
        return b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(np.array(_SRGB_CURVE))
    return b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(np.array([gamma]))


def _colorants(space: Primaries) -> _Matrix:
    rows = np.stack([_of(space.red), _of(space.green), _of(space.blue)])
    white = _of(space.white)
    scaled = rows * np.linalg.solve(rows.T, white)[:, None]
    cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD
    colorants: _Matrix = np.nan_to_num(scaled @ adapted.T)
    return colorants


def _of(point: Point) -> _Matrix:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz(values: _Matrix) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: _Matrix) -> bytes:
    whole = np.clip(np.rint(values * 65536), -(2**31), 2**31 - 1).astype(np.int64)
    return struct.pack(f">{len(whole)}l", *whole.tolist())
