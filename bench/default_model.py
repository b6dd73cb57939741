"""How good the default model is, and what it cannot do: the figures of its card.

`python -m bench.default_model FOLDER ...` with photos named by class, like 000_tench.JPEG. Every
second photo finds temperature and threshold, by which the other half is judged, and the other way
round; what ships is found with all of them.
"""

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from bench.figures import save
from bench.none_of_them import images
from bench.swept_calibration import swept_calibration_error
from testkit.images.model_files import at_work
from testkit.images.pictures import encoded
from testkit.images.reading import Limits
from visionfleet.config.classifier import ModelSection
from visionfleet.evaluation import calibration
from visionfleet.evaluation.accuracy import Evaluation
from visionfleet.evaluation.datasets import Labelled, read
from visionfleet.model.evaluate import measure
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load

LIMITS = Limits(50_000_000, 50_000_000, ("JPEG", "PNG"))
BATCH, THREADS = 8, 2
GIVEN_UP = 0.1  # share of the right answers that the threshold gives up
NONE_OF_THEM = 240
DRAWS = 1000

Change = Callable[[Image.Image], bytes]


def as_jpeg(image: Image.Image, quality: int = 95) -> bytes:
    return encoded(image, "JPEG", quality=quality)


def turned(image: Image.Image, degrees: int) -> bytes:
    """Turn by any angle, and cut away the corners that come in."""
    if degrees % 90 == 0:
        return as_jpeg(image.rotate(degrees, expand=True))
    angle = math.radians(degrees)
    shrunk = 1 / (math.cos(angle) + math.sin(angle) * max(image.size) / min(image.size))
    return as_jpeg(centre(image.rotate(degrees, Image.Resampling.BICUBIC), shrunk))


def centre(image: Image.Image, share: float) -> Image.Image:
    x, y = (side * (1 - share) / 2 for side in image.size)
    return image.crop((round(x), round(y), round(image.width - x), round(image.height - y)))


def middle(image: Image.Image, share: float) -> bytes:
    return as_jpeg(centre(image, share))


def corner(image: Image.Image, share: float) -> bytes:
    return as_jpeg(image.crop((0, 0, round(image.width * share), round(image.height * share))))


def tiny(image: Image.Image, side: int) -> bytes:
    scale = side / min(image.size)
    return as_jpeg(image.resize((round(image.width * scale), round(image.height * scale))))


def blurred(image: Image.Image, radius: int) -> bytes:
    return as_jpeg(image.filter(ImageFilter.GaussianBlur(radius)))


def grey(image: Image.Image) -> bytes:
    return as_jpeg(image.convert("L"))


def changes() -> Iterator[tuple[str, Change]]:
    for quality in (90, 70, 50, 30, 10):
        yield f"JPEG again at quality {quality}", partial(as_jpeg, quality=quality)
    for radius in (1, 2, 4):
        yield f"blurred by {radius} px", partial(blurred, radius=radius)
    for degrees in (10, 30, 90, 180):
        yield f"turned by {degrees} degrees", partial(turned, degrees=degrees)
    for share in (0.75, 0.5):
        yield f"the central {share:.0%} of both sides", partial(middle, share=share)
        yield f"one corner, {share:.0%} of both sides", partial(corner, share=share)
    for side in (128, 64):
        yield f"shrunk to {side} px", partial(tiny, side=side)
    yield "grey", grey


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/default_model.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folders", type=Path, nargs="+")
    photos = [photo for folder in parser.parse_args().folders for photo in read(folder)]
    model = at_work(load(ModelSection()), BATCH, THREADS, "float32")
    found = answers(model, photos)
    figures = {
        "model": f"{model.info.name} {model.info.fingerprint}",
        "photos": summary(found, model.unknown_below),
        "found_with_all": settings(found, model),
        **crossed(found, model),
        "unlike_any_class": unlike_any_class(model),
        "changed": dict(robustness(model, photos)),
    }
    print(f"written: {save('default_model', figures)}")


def answers(model: Inference, photos: Sequence[Labelled]) -> Evaluation:
    return measure(model, photos, LIMITS, BATCH, THREADS).evaluation


def summary(found: Evaluation, unknown_below: float) -> dict[str, float]:
    unsure, right_of_known = found.unknown(unknown_below)
    kept = float((found.confidences[found.right] >= unknown_below).mean())
    return {
        "images": len(found.folders),
        "top1": found.top(1),
        "top5": found.top(5),
        **errors(found.confidences, found.right),
        "mean_score": float(found.confidences.mean()),
        "unsure": unsure,
        "right_of_the_sure": right_of_known,
        "right_answers_kept": kept,
    }


def settings(found: Evaluation, model: Inference) -> dict[str, float]:
    further = found.temperature()
    return {
        "temperature": further * model.temperature,
        "unknown_below": found.threshold(further, GIVEN_UP),
    }


def crossed(found: Evaluation, model: Inference) -> dict[str, object]:
    """Judge each half by what the other found, and all photos together in the same way."""
    halves = [part(found, slice(start, None, 2)) for start in (0, 1)]
    judged = [tempered(halves[i], halves[1 - i].temperature()) for i in (0, 1)]
    both = replace(
        found,
        folders=[*judged[0].folders, *judged[1].folders],
        targets=np.concatenate([one.targets for one in judged]),
        probabilities=np.concatenate([one.probabilities for one in judged]),
    )
    said = [settings(halves[1 - i], model) for i in (0, 1)]
    return {
        "halves": [
            {**said[i], **summary(judged[i], said[i]["unknown_below"]), **of_luck(judged[i])}
            for i in (0, 1)
        ],
        "both_halves": {
            "images": len(both.folders),
            **errors(both.confidences, both.right),
            **of_luck(both),
        },
    }


def tempered(found: Evaluation, further: float) -> Evaluation:
    powers = np.exp(found.log_probabilities() / further)
    return replace(found, probabilities=powers / powers.sum(axis=1, keepdims=True))


def errors(confidences: calibration.Floats, right: calibration.Booleans) -> dict[str, float]:
    return {
        "calibration_error": calibration.expected_calibration_error(confidences, right),
        "swept_calibration_error": swept_calibration_error(confidences, right),
    }


def of_luck(found: Evaluation) -> dict[str, object]:
    """Find what a model would get whose scores are all true: few images are never spread evenly.

    Of so many draws the median, and what 95 % of them are within.
    """
    chance = np.random.default_rng(1).random((DRAWS, len(found.folders))) < found.confidences
    drawn = [errors(found.confidences, row) for row in chance]
    of_each = {name: np.array([one[name] for one in drawn]) for name in drawn[0]}
    return {
        f"{name}_of_a_perfect_model": np.quantile(values, (0.5, 0.025, 0.975)).tolist()
        for name, values in of_each.items()
    }


def part(found: Evaluation, which: slice) -> Evaluation:
    return Evaluation(
        found.labels, found.folders[which], found.targets[which], found.probabilities[which]
    )


def unlike_any_class(model: Inference) -> dict[str, float]:
    """Share of each kind, and of all, that are called unsure."""
    made = [(kind, as_jpeg(image)) for kind, image in images(NONE_OF_THEM)]
    numbered = [Labelled("", "0", data) for _, data in made]
    unsure = answers(model, numbered).confidences < model.unknown_below
    kinds = np.array([kind for kind, _ in made])
    each = {kind: float(unsure[kinds == kind].mean()) for kind in dict.fromkeys(kinds.tolist())}
    return {"images": len(made), "all": float(unsure.mean()), **each}


def robustness(
    model: Inference, photos: Sequence[Labelled]
) -> Iterator[tuple[str, dict[str, float]]]:
    for name, change in changes():
        changed = [replace(photo, data=_applied(change, photo.data)) for photo in photos]
        found = summary(answers(model, changed), model.unknown_below)
        print(f"{name}: top-1 {found['top1']:.1%}, {found['unsure']:.1%} unsure", file=sys.stderr)
        yield name, found


def _applied(change: Change, data: bytes) -> bytes:
    return change(Image.open(io.BytesIO(data)).convert("RGB"))


if __name__ == "__main__":
    main()
