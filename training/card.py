"""Measure what the card of the default model says, beyond what `visionfleet evaluate` tells.

`python training/card.py --data DIR --photos DIR`: DIR/test.zip holds JPEGs in one folder per class;
the photos are named `<ImageNet class id>_<name>.JPEG`. Writes card.json, confusion.png and
robustness.png beside the model.
"""

import argparse
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageFilter
from rich.progress import track

from visionfleet.config.classifier import ModelSection
from visionfleet.config.schema import ImagesSection
from visionfleet.evaluation import datasets
from visionfleet.evaluation.accuracy import Evaluation
from visionfleet.evaluation.datasets import Labelled
from visionfleet.imaging.decode import Photo
from visionfleet.imaging.preprocess import prepare
from visionfleet.model.evaluate import measure
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load

LIMITS = ImagesSection(max_bytes=50_000_000, max_pixels=50_000_000, formats=("JPEG", "PNG"))
BATCH = 50
# The class ids of ImageNet that one of the ten labels names; wild cats are no `cat`.
IDS = {
    "airplane": {404, 895},
    "automobile": {436, 468, 511, 609, 627, 656, 661, 751, 817},
    "bird": {*range(7, 25), *range(80, 101), *range(127, 147)},
    "cat": set(range(281, 286)),
    "dog": set(range(151, 269)),
    "frog": {30, 31, 32},
    "horse": {339},
    "ship": {403, 510, 554, 625, 628, 724, 780, 814, 871, 914},
    "truck": {555, 569, 675, 717, 864, 867},
}

Change = Callable[[Image.Image], Image.Image]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test.zip")
    parser.add_argument("--photos", type=Path, help="folder of photos of ImageNet classes")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where cifar10.pt is")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=10_000, help="test images, spread evenly")
    parser.add_argument("--changed", type=int, default=2000, help="of them, for robustness")
    return parser.parse_args()


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Turn about the centre; the corners show the mirrored surroundings, as a photo would."""
    pixels = np.asarray(image)
    margin = image.width // 2
    wide = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    turned = Image.fromarray(wide).rotate(degrees, Image.Resampling.BICUBIC)
    return turned.crop((margin, margin, margin + image.width, margin + image.height))


def changes() -> dict[str, list[tuple[float, Change]]]:
    """What robustness is measured against, by name and strength."""

    def jpeg(quality: float) -> Change:
        return lambda image: as_jpeg(image, round(quality))

    def blur(radius: float) -> Change:
        return lambda image: image.filter(ImageFilter.GaussianBlur(radius))

    def turn(degrees: float) -> Change:
        return lambda image: rotated(image, degrees)

    return {
        "JPEG quality": [(quality, jpeg(quality)) for quality in (90, 70, 50, 30, 10)],
        "blur, radius in px": [(radius, blur(radius)) for radius in (0.5, 1.0, 1.5, 2.0)],
        "rotation, degrees": [(degrees, turn(degrees)) for degrees in (5, 15, 30, 45, 90)],
    }


def robustness(
    model: Inference, images: Sequence[Labelled]
) -> dict[str, dict[str, dict[str, float]]]:
    """Top-1 and calibration error on changed images; `none` is the images as they are."""
    found: dict[str, dict[str, dict[str, float]]] = {"none": {"": told(model, images)}}
    for name, steps in changes().items():
        found[name] = {}
        for strength, change in track(steps, description=name):
            found[name][f"{strength:g}"] = told(model, [changed(one, change) for one in images])
    return found


def changed(one: Labelled, change: Change) -> Labelled:
    buffer = io.BytesIO()
    change(Image.open(io.BytesIO(one.data)).convert("RGB")).save(buffer, "PNG")
    return replace(one, data=buffer.getvalue())


def told(model: Inference, images: Iterable[Labelled]) -> dict[str, float]:
    found = measure(model, images, LIMITS, BATCH, 2).evaluation
    return {
        "top1": found.top(1),
        "expected_calibration_error": found.expected_calibration_error(),
        "unknown": found.unknown(model.unknown_below)[0],
    }


def label_of(identity: int) -> str | None:
    """Name the label that an ImageNet class belongs to; None outside the ten."""
    return next((label for label, ids in IDS.items() if identity in ids), None)


def photos(model: Inference, folder: Path) -> dict[str, Any]:
    """Answer the photos: those of the ten classes, and the others, which have no right answer."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in datasets.SUFFIXES)
    rows, labels = [], []
    for path in files:
        labels.append(label_of(int(path.name.partition("_")[0])))
        with Image.open(path) as image:
            pixels = prepare(Photo(image.convert("RGB")), model.preprocessing)
        rows.append(model.probabilities([pixels]).numpy()[0])
    inside = np.array([label is not None for label in labels])
    known = [label for label in labels if label is not None]
    targets = np.array([model.labels.index(label) for label in known], int)
    scores = np.stack(rows)
    found = Evaluation(model.labels, known, targets, scores[inside])
    others = scores[~inside].max(axis=1)
    below = model.unknown_below
    unknown, right = found.unknown(below)
    return {
        "of_the_ten_classes": len(known),
        "top1": found.top(1),
        "top2": found.top(2),
        "per_class": found.per_class(),
        "images_per_class": {label: known.count(label) for label in sorted(set(known))},
        "unknown": unknown,
        "top1_of_known": right,
        "others": len(others),
        "others_unknown": float((others < below).mean()),
        "others_above_0.9": int((others > 0.9).sum()),
        "separation": separation(found.confidences, others),
    }


def separation(inside: np.ndarray, outside: np.ndarray) -> float:
    """Chance that an image of the ten classes has a higher score than one of none (AUROC)."""
    wins = (inside[:, None] > outside).mean() + 0.5 * (inside[:, None] == outside).mean()
    return float(wins)


def draw_confusion(found: Evaluation, path: Path) -> None:
    counts = np.zeros((len(found.labels),) * 2, int)
    np.add.at(counts, (found.targets, found.answers), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(np.sqrt(counts), cmap="Blues")
    places = range(len(found.labels))
    axes.set_xticks(places, found.labels, rotation=45, ha="right")
    axes.set_yticks(places, found.labels)
    axes.set(xlabel="answered", ylabel="is", title="Answers to the test images")
    for row, column in np.argwhere(counts > 0):
        colour = "white" if counts[row, column] > counts.max() / 4 else "black"
        value = counts[row, column]
        axes.text(column, row, value, ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=110)


def draw_robustness(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    groups = [name for name in found if name != "none"]
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    plain = 100 * found["none"][""]["top1"]
    for axes, name in zip(figure.subplots(1, len(groups), sharey=True), groups, strict=True):
        steps = found[name]
        axes.plot(list(steps), [100 * one["top1"] for one in steps.values()], marker="o")
        axes.axhline(plain, color="grey", linestyle=":", label="unchanged")
        axes.set(xlabel=name, ylim=(0, 100))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("top-1, %")
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    options = arguments()
    loaded = load(ModelSection(directory=options.models))
    model = Inference(loaded, BATCH, 1, "float32")
    archive = options.data / "test.zip"
    images = list(datasets.read(archive, options.limit))
    whole = measure(model, track(images, description="test images"), LIMITS, BATCH, options.threads)
    card: dict[str, Any] = {"model": f"{model.info.name} {model.info.fingerprint}"}
    card |= {"temperature": model.temperature, "unknown_below": model.unknown_below}
    card |= {"test": told_whole(whole.evaluation, model.unknown_below)}
    draw_confusion(whole.evaluation, options.models / "confusion.png")
    some = datasets.spread(images, options.changed)
    card |= {"robustness_images": len(some), "robustness": robustness(model, some)}
    draw_robustness(card["robustness"], options.models / "robustness.png")
    if options.photos is not None:
        card["photos"] = photos(model, options.photos)
    text = json.dumps(card, indent=1) + "\n"
    (options.models / "card.json").write_text(text)
    print(text)


def told_whole(found: Evaluation, below: float) -> dict[str, Any]:
    unknown, known_top1 = found.unknown(below)
    return {
        "images": len(found.folders),
        "top1": found.top(1),
        "top2": found.top(2),
        "top5": found.top(5),
        "expected_calibration_error": found.expected_calibration_error(),
        "mean_score": float(found.confidences.mean()),
        "unknown": unknown,
        "top1_of_known": known_top1,
        "per_class": found.per_class(),
        "most_often_taken_for": mistakes(found),
    }


def mistakes(found: Evaluation) -> dict[str, str]:
    """For each class the wrong answer that it gets most often."""
    worst = {}
    for label, answers in found.confusion().items():
        wrong = [(count, answer) for answer, count in answers.items() if answer != label]
        worst[label] = "{1} ({0})".format(*max(wrong)) if wrong else ""
    return worst


if __name__ == "__main__":
    main()
