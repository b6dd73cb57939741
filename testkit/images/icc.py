"""ICC profiles of wide colour spaces after ICC.1:2010: three colorants and one exponent."""

import struct

_Xyz = tuple[float, float, float]
_D50: _Xyz = (0.9642, 1.0, 0.8249)


def matrix_profile(columns: tuple[_Xyz, _Xyz, _Xyz], gamma: float) -> bytes:
    """Make a profile from the colorants red, green and blue, adapted to D50."""
    curve = b"curv" + bytes(4) + struct.pack(">LH", 1, round(gamma * 256)) + bytes(2)
    text = b"desc" + bytes(4) + struct.pack(">L", 5) + b"wide\0" + bytes(78)
    parts = {b"desc": text, b"wtpt": _colorant(_D50)}
    parts |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_colorant, columns), strict=True))
    parts |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    start, table, body = 128 + 4 + 12 * len(parts), struct.pack(">L", len(parts)), b""
    for name, part in parts.items():
        table += name + struct.pack(">LL", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    head = struct.pack(">L", start + len(body)) + bytes(4) + b"\x02\x40\0\0"
    head += b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + b"".join(map(_fixed, _D50))
    return head.ljust(128, b"\0") + table + body


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _colorant(xyz: _Xyz) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, xyz))


# Primaries of the spaces' own specifications, adapted to D50 by Bradford.
DISPLAY_P3 = matrix_profile(
    ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)), 2.2
)
ADOBE_RGB = matrix_profile(
    ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 2.2
)
PROPHOTO_RGB = matrix_profile(
    ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491)), 1.8
)
