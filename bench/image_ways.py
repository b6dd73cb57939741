"""Photos written in over 200 ways: does the label stay, and how far are the pixels?

`python -m bench.image_ways DATA [--photos 25]`. The folder holds `photos/` (JPEGs) and `weights/`
(a TorchScript file `*.torchscript.pt` for ImageNet, with its labels `*.txt`). An original is the
photo in PNG; ways in grey are compared with the photo in grey. For comparison: how many labels
stay if each value of the original changes at random by 1 of 255 at most.
"""

import argparse
import io
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.bench_draft import models, opened
from bench.figures import save, show
from testkit.images.reading import Limits, read_pixels
from testkit.images.ways import Way, ways
from testkit.images.ways import save as encoded
from visionfleet.config import Config
from visionfleet.imaging.model_input import Pixels
from visionfleet.model.inference import Inference

MODEL = "imagenet at 224 px"
LIMITS = Limits(100_000_000, 250_000_000, Config().images.formats)
BATCH = 8
NOISE = "noise of 1 at most, for comparison"
NOISES = 8


@dataclass
class Agreement:
    """Of the photos in one way, or in several that are alike; differences are of 255."""

    ways: int = 0
    photos: int = 0
    same: int = 0
    mean_difference: float = 0.0
    greatest_difference: int = 0

    def add(self, other: "Agreement") -> None:
        self.ways += other.ways
        self.photos += other.photos
        self.same += other.same
        self.mean_difference = max(self.mean_difference, other.mean_difference)
        self.greatest_difference = max(self.greatest_difference, other.greatest_difference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("data", type=Path)
    parser.add_argument("--photos", type=int, default=25, help="default: %(default)s")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    files = sorted((arguments.data / "photos").iterdir())
    chosen = files[:: max(1, len(files) // arguments.photos)][: arguments.photos]
    photos = [photo(path.read_bytes()) for path in chosen]
    model = opened(models(arguments.data / "weights")[MODEL])
    report(measured(model, photos))


def photo(data: bytes) -> Image.Image:
    """Open one, with sides that can be divided by eight, as packed pixels want them."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.info.clear()  # its profile, which some ways write and others cannot
    return image.crop((0, 0, image.width & ~7, image.height & ~7))


def measured(model: Inference, photos: Sequence[Image.Image]) -> dict[str, Agreement]:
    originals = {
        grey: seen(model, [encoded(p.convert("L") if grey else p, "PNG") for p in photos])
        for grey in (False, True)
    }
    labels = {grey: answered(model, pixels) for grey, pixels in originals.items()}
    found = {}
    for way in ways():
        pixels = seen(model, [way.write(photo) for photo in photos])
        found[way.name] = compared(
            pixels, originals[way.grey], answered(model, pixels), labels[way.grey]
        )
        print(f"{way.name:55s} {found[way.name]}", flush=True)
    found[NOISE] = Agreement()
    for seed in range(NOISES):
        pixels = [noisy(original, seed) for original in originals[False]]
        answers = answered(model, pixels)
        found[NOISE].add(compared(pixels, originals[False], answers, labels[False]))
    return found


def noisy(pixels: Pixels, seed: int) -> Pixels:
    noise = np.random.default_rng(seed).integers(-1, 2, pixels.shape)
    changed: Pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return changed


def seen(model: Inference, files: Sequence[bytes]) -> list[Pixels]:
    return [read_pixels(data, LIMITS, model.preprocessing) for data in files]


def answered(model: Inference, pixels: Sequence[Pixels]) -> list[int]:
    batches = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    return [ranking[0].index for batch in batches for ranking in model.rank(list(batch), 1)]


def compared(
    pixels: Sequence[Pixels],
    originals: Sequence[Pixels],
    labels: Sequence[int],
    expected: Sequence[int],
) -> Agreement:
    differences = np.abs(np.stack(pixels).astype(int) - np.stack(originals))
    same = sum(one == other for one, other in zip(labels, expected, strict=True))
    return Agreement(1, len(pixels), same, float(differences.mean()), int(differences.max()))


def grouped(found: dict[str, Agreement]) -> dict[str, Agreement]:
    """Put ways together whose format and tolerance are the same."""
    groups = {NOISE: found[NOISE]}
    for way in ways():
        groups.setdefault(group(way), Agreement()).add(found[way.name])
    return groups


def group(way: Way) -> str:
    format_ = way.name.split()[0]
    for kind in ("orientation", "odd EXIF", "in Display P3", "in Adobe RGB", "in ProPhoto"):
        if kind in way.name:
            return f"any format, {kind}"
    return f"{format_}, at most {way.tolerance:g}"


def report(found: dict[str, Agreement]) -> None:
    columns = ("ways", "number", "same label", "mean difference", "greatest")
    rows = [
        (
            name,
            str(one.ways),
            f"{one.same} of {one.photos}",
            f"{one.mean_difference:.2f}",
            str(one.greatest_difference),
        )
        for name, one in grouped(found).items()
    ]
    show("ways of writing", columns, rows)
    print(f"written: {save('image_ways', {name: asdict(one) for name, one in found.items()})}")


if __name__ == "__main__":
    main()
