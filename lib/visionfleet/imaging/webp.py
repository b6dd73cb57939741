"""Animated WebP: what the first frame does not cover is transparent, as in browsers."""

_FLAGS, _ANIMATED, _ALPHA = 20, 0x02, 0x10


def with_alpha(data: bytes) -> bytes:
    """Set the alpha flag of an animation: otherwise Pillow fills uncovered areas with black."""
    extended = data[8:16] == b"WEBPVP8X" and len(data) > _FLAGS
    if not extended or data[_FLAGS] & (_ANIMATED | _ALPHA) != _ANIMATED:
        return data
    return data[:_FLAGS] + bytes([data[_FLAGS] | _ALPHA]) + data[_FLAGS + 1 :]
