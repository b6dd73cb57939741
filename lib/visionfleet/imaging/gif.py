"""GIFs whose first picture leaves a part of the canvas to what lies behind it."""

from PIL import Image

_PICTURES_TRIED = 5


def covers_canvas(image: Image.Image) -> bool:
    """Tell it of an opened image, before it is loaded."""
    tiles = getattr(image, "tile", [])
    return image.format != "GIF" or not tiles or tiles[0][1] == (0, 0, *image.size)


def load(image: Image.Image) -> Image.Image:
    """Decode an opened image; what its first picture does not cover is transparent.

    Animations often begin with a picture that is nothing but transparent: the next one counts.
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
