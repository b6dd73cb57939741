"""Images that show none of the things that the default model knows: does it say so?

Noise, textures, written pages and drawings, made from a seed.
"""

import math
from collections.abc import Callable, Iterator
from random import Random

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 500, 375
TEXT = (
    "the of and to in that it was his with for as had but at on not be they she which you one we "
    "all were her would there their will when who him been has more if no out so said what up its "
    "about into than them can only other new some could time these two may then do first any my "
    "now such like our over man me even most made after also did many before must through back"
)
WORDS = TEXT.split()
_Plane = npt.NDArray[np.float64]


def images(count: int, seed: int = 1) -> Iterator[tuple[str, Image.Image]]:
    """Make as many of each kind, in turn; the kind stands before each."""
    random = Random(seed)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        ways = KINDS[kind]
        yield kind, ways[number // len(KINDS) % len(ways)](random)


def white_noise(random: Random) -> Image.Image:
    shape = (HEIGHT, WIDTH, random.choice((1, 3)))
    made = _generator(random).normal(random.uniform(60, 190), random.uniform(20, 90), shape)
    return _image(np.broadcast_to(made, (HEIGHT, WIDTH, 3)))


def coarse_noise(random: Random) -> Image.Image:
    """Squares or soft spots of any colour."""
    across = random.randint(6, 60)
    cells = _generator(random).integers(0, 256, (across * 3 // 4, across, 3), np.uint8)
    how = random.choice((Image.Resampling.NEAREST, Image.Resampling.BICUBIC))
    return Image.fromarray(cells).resize((WIDTH, HEIGHT), how)


def cloudy_noise(random: Random) -> Image.Image:
    """Noise whose strength falls with the frequency, as in photos."""
    power = random.uniform(0.8, 2.2)
    return _image(np.stack([_cloud(random, power) for _ in range(3)], axis=2) * 255)


def stripes(random: Random) -> Image.Image:
    x, y = _plane(random.uniform(0, math.pi))
    bent = 8 * random.random() * np.sin(y / random.uniform(20, 90))
    wave = np.sin((x + bent) / random.uniform(3, 30))
    return _coloured(random, wave > 0 if random.random() < 0.5 else wave)


def gradient(random: Random) -> Image.Image:
    x, y = _plane(random.uniform(0, math.pi))
    return _coloured(random, x if random.random() < 0.5 else np.hypot(x, y))


def rings(random: Random) -> Image.Image:
    x, y = _plane(0.0)
    there = np.hypot(x - random.uniform(-300, 300), (y - random.uniform(-200, 200)) * 1.3)
    grain = 20 * _cloud(random, 1.5)
    return _coloured(random, np.sin((there + grain) / random.uniform(3, 14)))


def marble(random: Random) -> Image.Image:
    x, _ = _plane(random.uniform(0, math.pi))
    return _coloured(random, np.sin(x / 25 + random.uniform(6, 25) * _cloud(random, 1.7)))


def plaster(random: Random) -> Image.Image:
    """A rough wall in slanting light."""
    height = _cloud(random, random.uniform(0.9, 1.5))
    light = np.gradient(height, axis=1) + np.gradient(height, axis=0)
    return _coloured(random, np.clip(light / (4 * light.std()), -1, 1))


def page(random: Random) -> Image.Image:
    """Lines of words from margin to margin."""
    return _written(random, size=random.randint(11, 24), margin=random.randint(10, 60))


def headline(random: Random) -> Image.Image:
    return _written(random, size=random.randint(40, 90), margin=20)


def table(random: Random) -> Image.Image:
    image, draw, ink = _paper(random)
    rows, columns = random.randint(5, 14), random.randint(3, 7)
    high, wide = HEIGHT // rows, WIDTH // columns
    font = ImageFont.load_default(max(9, high // 2))
    for row in range(rows):
        draw.line((0, row * high, WIDTH, row * high), ink)
        for column in range(columns):
            text = str(random.randint(0, 99999)) if column else random.choice(WORDS)
            draw.text((column * wide + 5, row * high + 4), text, ink, font)
    return image


def listing(random: Random) -> Image.Image:
    """Indented lines on a dark ground, as of a program."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (30, 30, random.randint(30, 60)))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(random.randint(12, 18))
    for y in range(8, HEIGHT, int(font.size * 1.4)):  # type: ignore[union-attr]
        x = 10 + 24 * random.randint(0, 3)
        for _ in range(random.randint(0, 6)):
            word = random.choice(WORDS) + random.choice(("", "()", " =", ":", ","))
            draw.text((x, y), word, _colour(random, 120), font)
            x += int(draw.textlength(word + " ", font))
    return image


def chart(random: Random) -> Image.Image:
    image, draw, ink = _paper(random)
    draw.line((40, 20, 40, HEIGHT - 30, WIDTH - 20, HEIGHT - 30), ink, 2)
    bars, y = random.randint(4, 12), HEIGHT / 2
    wide, colour = (WIDTH - 80) / bars, _colour(random)
    points = []
    for number in range(bars):
        y = min(max(y + random.uniform(-90, 90), 30), HEIGHT - 40)
        points.append((50 + (number + 0.5) * wide, y))
        if len(points) % 2 or bars > 7:
            draw.rectangle((50 + number * wide, y, 40 + (number + 1) * wide, HEIGHT - 30), colour)
    draw.line(points, _colour(random), 3)
    return image


def scribble(random: Random) -> Image.Image:
    image, draw, ink = _paper(random)
    for _ in range(random.randint(1, 6)):
        x, y, way = random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(0, 6)
        points = [(x, y)]
        for _ in range(random.randint(20, 200)):
            way += random.gauss(0, 0.5)
            x, y = x + 12 * math.cos(way), y + 12 * math.sin(way)
            points.append((x, y))
        draw.line(points, ink, random.randint(1, 5))
    return image


def shapes(random: Random) -> Image.Image:
    """Circles, squares and triangles in plain colours."""
    image, draw, _ = _paper(random)
    for _ in range(random.randint(4, 40)):
        x, y, side = random.randint(0, WIDTH), random.randint(0, HEIGHT), random.randint(10, 120)
        box, colour = (x, y, x + side, y + side), _colour(random)
        kind = random.choice(("circle", "square", "triangle"))
        if kind == "circle":
            draw.ellipse(box, colour)
        elif kind == "square":
            draw.rectangle(box, colour)
        else:
            draw.polygon((x, y + side, x + side, y + side, x + side / 2, y), colour)
    return image


def plan(random: Random) -> Image.Image:
    """Rooms and doors from above."""
    image, draw, ink = _paper(random)
    for _ in range(random.randint(5, 12)):
        x, y = random.randrange(20, 400, 20), random.randrange(20, 300, 20)
        right, down = x + random.randrange(40, 200, 20), y + random.randrange(40, 160, 20)
        draw.rectangle((x, y, right, down), outline=ink, width=3)
        draw.arc((x - 20, y - 20, x + 20, y + 20), 0, 90, ink)
    return image


def faces(random: Random) -> Image.Image:
    """People as children draw them."""
    image, draw, ink = _paper(random)
    for number in range(random.randint(1, 4)):
        x, y, r = 80 + 110 * number, random.randint(60, 140), random.randint(20, 45)
        draw.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=3)
        draw.arc((x - r / 2, y - r / 2, x + r / 2, y + r / 2), 20, 160, ink, 3)
        foot = y + r + 120
        draw.line((x, y + r, x, foot), ink, 3)
        draw.line((x - 40, foot + 50, x, foot, x + 40, foot + 50), ink, 3)
        draw.line((x - 45, y + r + 30, x, y + r + 20, x + 45, y + r + 30), ink, 3)
    return image


KINDS: dict[str, tuple[Callable[[Random], Image.Image], ...]] = {
    "noise": (white_noise, coarse_noise, cloudy_noise),
    "texture": (stripes, gradient, rings, marble, plaster),
    "text": (page, headline, table, listing),
    "drawing": (chart, scribble, shapes, plan, faces),
}


def _generator(random: Random) -> np.random.Generator:
    return np.random.default_rng(random.randrange(2**32))


def _plane(turn: float) -> tuple[_Plane, _Plane]:
    """Give both coordinates of every pixel, from the centre, turned."""
    x, y = np.meshgrid(np.arange(WIDTH) - WIDTH / 2, np.arange(HEIGHT) - HEIGHT / 2)
    return x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)


def _cloud(random: Random, power: float) -> _Plane:
    """Make values from 0 to 1 whose spectrum falls with this power of the frequency."""
    fine = np.fft.fft2(_generator(random).normal(size=(HEIGHT, WIDTH)))
    down, across = np.meshgrid(np.fft.fftfreq(HEIGHT), np.fft.fftfreq(WIDTH), indexing="ij")
    rate = np.hypot(down, across)
    rate[0, 0] = 1.0
    made = np.fft.ifft2(fine / rate**power).real
    low, high = float(made.min()), float(made.max())
    return np.asarray((made - low) / (high - low), np.float64)


def _coloured(random: Random, values: npt.NDArray[np.generic]) -> Image.Image:
    """Show values, whatever their range, as colours between two."""
    share = values.astype(np.float64)
    share = ((share - share.min()) / np.ptp(share))[:, :, None]
    first, second = (np.array(_colour(random), np.float64) for _ in range(2))
    return _image(first * (1 - share) + second * share)


def _image(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def _paper(random: Random) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, int, int]]:
    image = Image.new("RGB", (WIDTH, HEIGHT), _colour(random, 200))
    return image, ImageDraw.Draw(image), _colour(random, 0, 90)


def _colour(random: Random, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    return random.randint(low, high), random.randint(low, high), random.randint(low, high)


def _written(random: Random, size: int, margin: int) -> Image.Image:
    image, draw, ink = _paper(random)
    font = ImageFont.load_default(size)
    for y in range(margin, HEIGHT - margin - size, int(size * 1.5)):
        line = ""
        while draw.textlength(line, font) < WIDTH - 2 * margin:
            line += random.choice(WORDS) + " "
        draw.text((margin, y), line.rstrip().rpartition(" ")[0] or line, ink, font)
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8)))
