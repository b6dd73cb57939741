"""Makes many varied images from a few photos: random crops, flips and brightness, seeded."""

import io
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from random import Random

from PIL import Image, ImageEnhance, ImageOps

# Included in scikit-image's wheel, without a download. Licences as in its documentation: rocket.jpg
# (SpaceX) is in the public domain, camera.png (Lav Varshney), chelsea.png (Stefan van der Walt) and
# coffee.png (Rachel Michetti, Pikolo Espresso Bar) are CC0. The default model knows what they show:
# a tripod, a cat, an espresso, a missile.
PHOTOS = ("camera.png", "chelsea.png", "coffee.png", "rocket.jpg")
SIDE = 256
_SHARES = (0.7, 1.0)  # of the photo's shorter side
_BRIGHTNESS = (0.6, 1.4)


def shipped_photos() -> dict[str, Path]:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "data"
    return {Path(name).stem: folder / name for name in PHOTOS if (folder / name).is_file()}


def sample_images(photos: Mapping[str, Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Make `count` crops, each with its photo's name, cycling through the photos; seeded."""
    random = Random(seed)
    opened = {name: Image.open(path).convert("RGB") for name, path in photos.items()}
    for number in range(count):
        name = list(opened)[number % len(opened)]
        buffer = io.BytesIO()
        random_crop(opened[name], random).save(buffer, "JPEG", quality=90)
        yield name, buffer.getvalue()


def random_crop(photo: Image.Image, random: Random) -> Image.Image:
    side = int(min(photo.size) * random.uniform(*_SHARES))
    left = random.randint(0, photo.width - side)
    upper = random.randint(0, photo.height - side)
    piece = photo.crop((left, upper, left + side, upper + side)).resize((SIDE, SIDE))
    if random.random() < 0.5:
        piece = ImageOps.mirror(piece)
    return ImageEnhance.Brightness(piece).enhance(random.uniform(*_BRIGHTNESS))
