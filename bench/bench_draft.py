"""JPEGs decoded at a reduced size (`draft`): how often is the answer another, what is saved?

`make bench-draft DATA=folder`. The folder holds `photos/` (JPEGs) and `weights/` (a TorchScript
file `*.torchscript.pt` for ImageNet, with its labels `*.txt`). Each image is decoded in full and as
the classifier does it, and both are answered by the same model in float32. Only images that were in
fact decoded at a reduced size count as `reduced`.
"""

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from bench.figures import save, show
from bench.workload import settings
from testkit.images.reading import Limits
from visionfleet.config import load
from visionfleet.imaging import decode
from visionfleet.imaging.model_input import Pixels
from visionfleet.imaging.preprocess import prepare
from visionfleet.model.inference import Inference
from visionfleet.model.open import open_model

ROOT = Path(__file__).resolve().parents[1]
FLOAT32 = {"VISIONFLEET_MODEL__PRECISION": "float32", "VISIONFLEET_MODEL__THREADS": "1"}
LIMITS = Limits(100_000_000, 250_000_000, ("JPEG",))
BATCH = 32
ENLARGED = 6  # photos of 500 pixels become as large as those of a phone


@dataclass
class Agreement:
    """What draft did to one model on one set of images; times are CPU of decoding and resizing."""

    images: int = 0
    reduced: int = 0
    same_of_reduced: int = 0
    largest_difference: float = 0.0
    full_ms: float = 0.0
    draft_ms: float = 0.0

    @property
    def share(self) -> float:
        """Answers that stayed, of the images that were reduced."""
        return self.same_of_reduced / self.reduced if self.reduced else 1.0


def main() -> None:
    """Measure each model on each set, print and save."""
    parser = argparse.ArgumentParser(prog="bench/bench_draft.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    some = dict(sets(arguments.data))
    found = {
        f"{model}, {name}": measure(opened(how), some[name])
        for model, how in models(arguments.data / "weights").items()
        for name in some
    }
    report(found)


def models(weights: Path) -> dict[str, dict[str, str]]:
    """The shipped model, and a quantised one for ImageNet at two sizes."""
    (path,), (names,) = weights.glob("*.torchscript.pt"), weights.glob("*.txt")
    brought = settings(path, "imagenet", names)
    small = {"VISIONFLEET_MODEL__RESIZE": "73", "VISIONFLEET_MODEL__CROP": "64"}
    return {
        "default at 224 px": {},
        "imagenet at 64 px": brought | small,
        "imagenet at 224 px": brought,
    }


def sets(data: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Photos as they are, and the same enlarged."""
    files = sorted(p for p in (data / "photos").iterdir() if p.suffix.lower() in {".jpg", ".jpeg"})
    photos = [path.read_bytes() for path in files]
    yield "photos", photos
    yield f"photos {ENLARGED} times as large", [enlarged(photo) for photo in photos]


def enlarged(photo: bytes) -> bytes:
    """Enlarge to the size of a camera's picture; it has the noise of none, but as many pixels."""
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    size = (image.width * ENLARGED, image.height * ENLARGED)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def opened(how: dict[str, str]) -> Inference:
    """Load a model in float32, so that nothing but the decoding differs."""
    environment = {**how, **FLOAT32}
    return open_model(load(ROOT / "etc/visionfleet.yaml", environment).config, environment)


def measure(model: Inference, some: Sequence[bytes]) -> Agreement:
    """Answer all images both ways."""
    found = Agreement(images=len(some))
    waiting: list[tuple[Pixels, Pixels]] = []
    for data in some:
        full, full_size = decoded(model, data, None, found)
        reduced, size = decoded(model, data, model.preprocessing.resize, found)
        if size != full_size:
            waiting.append((full, reduced))
    for start in range(0, len(waiting), BATCH):
        compare(model, waiting[start : start + BATCH], found)
    found.full_ms /= len(some)
    found.draft_ms /= len(some)
    return found


def decoded(
    model: Inference, data: bytes, shorter_side: int | None, found: Agreement
) -> tuple[Pixels, tuple[int, int]]:
    """Decode one image; returns its pixels for the model, and the size that was decoded."""
    started = time.process_time()
    photo = decode.decode(data, LIMITS, shorter_side)
    pixels = prepare(photo, model.preprocessing)
    spent = 1000 * (time.process_time() - started)
    if shorter_side is None:
        found.full_ms += spent
    else:
        found.draft_ms += spent
    return pixels, photo.image.size


def compare(model: Inference, pairs: Sequence[tuple[Pixels, Pixels]], found: Agreement) -> None:
    """Count equal first classes, and note how far the probability of the first one moved."""
    classes = len(model.labels)
    full = model.rank([pair[0] for pair in pairs], classes)
    reduced = model.rank([pair[1] for pair in pairs], classes)
    for one, other in zip(full, reduced, strict=True):
        found.reduced += 1
        found.same_of_reduced += one[0].index == other[0].index
        there = next(ranked.score for ranked in other if ranked.index == one[0].index)
        found.largest_difference = max(found.largest_difference, abs(one[0].score - there))


def report(found: dict[str, Agreement]) -> None:
    """Print and save."""
    columns = ("model and images", "images", "reduced", "same top-1", "CPU ms full", "CPU ms draft")
    rows = [
        (
            *(name, str(one.images), str(one.reduced)),
            f"{one.share:.1%}" if one.reduced else "-",
            *(f"{one.full_ms:.1f}", f"{one.draft_ms:.1f}"),
        )
        for name, one in found.items()
    ]
    show("reduced-size decoding", columns, rows)
    print(f"written: {save('draft', {name: asdict(one) for name, one in found.items()})}")


if __name__ == "__main__":
    main()
