"""Animated WebP: what its first picture does not cover is transparent, as in every browser."""

_EXTENDED = b"VP8X"
_FLAGS, _ANIMATED, _ALPHA = 20, 0x02, 0x10


def with_alpha(data: bytes) -> bytes:
    """Say of an animation that it has alpha: without it Pillow makes what is uncovered black."""
    animated = data[8:12] == b"WEBP" and data[12:16] == _EXTENDED and data[_FLAGS] & _ANIMATED
    if not animated or data[_FLAGS] & _ALPHA:
        return data
    return data[:_FLAGS] + bytes([data[_FLAGS] | _ALPHA]) + data[_FLAGS + 1 :]
