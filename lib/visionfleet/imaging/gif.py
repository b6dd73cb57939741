"""GIFs whose first frame does not cover the whole canvas."""

from collections.abc import Iterator

from PIL import Image

from visionfleet.imaging.parts import bounded

_SIGNATURES = (b"GIF87a", b"GIF89a")
_SCREEN_BYTES, _FLAGS, _HAS_COLOURS, _COLOURS = 13, 10, 0x80, 0x07
_EXTENSION, _PICTURES_AND_END = b"\x21", (b"", b",", b";")
_PICTURES_TRIED = 5


def check_parts(data: bytes) -> None:
    """Count the blocks before the first frame; raises BadImage if there are too many."""
    if data.startswith(_SIGNATURES) and len(data) > _SCREEN_BYTES:
        for _ in bounded(_blocks(data)):
            pass


def _blocks(data: bytes) -> Iterator[int]:
    """Iterate over the extension blocks before the first frame, and stray bytes."""
    flags = data[_FLAGS]
    at = _SCREEN_BYTES + (3 << ((flags & _COLOURS) + 1) if flags & _HAS_COLOURS else 0)
    while (kind := data[at : at + 1]) not in _PICTURES_AND_END:
        yield at
        at += 1
        if kind == _EXTENSION:
            at += 1
            while size := int.from_bytes(data[at : at + 1]):
                yield at
                at += 1 + size
            at += 1


def covers_canvas(image: Image.Image) -> bool:
    """Whether the first frame of an opened image, not loaded yet, covers the canvas."""
    tiles = getattr(image, "tile", [])
    return image.format != "GIF" or not tiles or tiles[0][1] == (0, 0, *image.size)


def load(image: Image.Image) -> Image.Image:
    """Decode an opened image; what its first frame does not cover is transparent.

    Animations often start with a fully transparent frame: then the next one is used.
    """
    if not covers_canvas(image):
        return _on_canvas(image)
    image.load()
    for number in range(1, _PICTURES_TRIED):
        if not _is_clear(image):
            break
        try:
            image.seek(number)
        except EOFError:
            break
        image.load()
    return image


def _is_clear(image: Image.Image) -> bool:
    clear = image.info.get("transparency")
    if image.mode == "RGBA":
        return image.getchannel("A").getextrema() == (0, 0)
    return clear is not None and image.getextrema() == (clear, clear)


def _on_canvas(image: Image.Image) -> Image.Image:
    covered = image.tile[0][1]  # type: ignore[attr-defined]
    image.load()
    canvas = Image.new("RGBA", image.size, (0, 0, 0, 0))
    canvas.paste(image.crop(covered).convert("RGBA"), covered)
    canvas.format = image.format
    return canvas
