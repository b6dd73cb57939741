"""The end of a training: its checkpoint with calibration and accuracy, and its learning curves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cifar import MEAN, SIDE, STD, Split, normalised
from rich.console import Console
from torch import Tensor, nn

from visionfleet.evaluation.accuracy import Evaluation
from visionfleet.model.architectures import build
from visionfleet.model.forward import twice_if_unsure

ARCHITECTURE = "convnet8"
EVALUATION_BATCH = 500
UNKNOWN_LOST = 0.05  # share of the right answers that the threshold gives up
MIRROR_BELOW = 0.8  # one test image in seven


@dataclass(frozen=True, slots=True)
class Trained:
    """Weights, the options of their network, and what each epoch gave."""

    weights: dict[str, Tensor]
    options: dict[str, int]
    seed: int
    history: list[dict[str, float]]


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    write(unfinished)
    unfinished.replace(path)


def compact(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels in half precision; the few numbers of the norms stay exact."""
    return {
        name: (value.half() if value.ndim > 1 else value).cpu().contiguous()
        for name, value in weights.items()
    }


def checkpoint(trained: Trained, labels: list[str]) -> dict[str, Any]:
    return {
        "format": "visionfleet-checkpoint/1",
        "name": "cifar10",
        "architecture": ARCHITECTURE,
        "options": trained.options,
        "state_dict": compact(trained.weights),
        "labels": labels,
        "preprocessing": {
            "resize": SIDE,
            "crop": SIDE,
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bilinear",
        },
        "licence": "MIT",
    }


def restored(content: dict[str, Any]) -> nn.Module:
    network = build(content["architecture"], content["options"], len(content["labels"]))
    network.load_state_dict(content["state_dict"])
    return network


@torch.inference_mode()
def scores(
    network: nn.Module, images: Tensor, temperature: float = 1.0, mirror_below: float = 0.0
) -> Tensor:
    """The logits that the network gives to uint8 images, in whatever precision is on."""
    network.eval()
    parts = [normalised(part) for part in torch.split(images, EVALUATION_BATCH)]
    return torch.cat([twice_if_unsure(network, p, temperature, mirror_below) for p in parts])


def publish(trained: Trained, held_out: Split, test: Split, out: Path) -> None:
    """Write the checkpoint, calibrated on the images held out, and the learning curves."""
    content = checkpoint(trained, test.labels)
    network = restored(content)
    content["calibration"] = calibrated(network, held_out)
    found = evaluated(network, test, content["calibration"]["temperature"], MIRROR_BELOW)
    content["metrics"] = {
        "top1": found.top(1),
        "test_images": len(test.targets),
        "per_class": found.per_class(),
        "expected_calibration_error": found.expected_calibration_error(),
        "epochs": len(trained.history),
        "seed": trained.seed,
        "minutes": sum(row["seconds"] for row in trained.history) / 60,
    }
    write_atomically(out, lambda unfinished: torch.save(content, unfinished))
    draw(trained.history, out.with_suffix(".png"))
    report(content, out)


def evaluated(
    network: nn.Module, data: Split, temperature: float = 1.0, mirror_below: float = 0.0
) -> Evaluation:
    """Answer as the stored weights will be served: in float32 on the processor."""
    logits = scores(network, data.images.cpu(), temperature, mirror_below) / temperature
    folders = [data.labels[target] for target in data.targets.tolist()]
    targets = data.targets.cpu().numpy()
    return Evaluation(tuple(data.labels), folders, targets, logits.softmax(1).numpy())


def calibrated(network: nn.Module, data: Split) -> dict[str, float]:
    """Fit the temperature to first looks; then the least score at which an answer is given."""
    count = len(data.targets)
    temperature = evaluated(network, data).temperature() if count else 1.0
    answers = evaluated(network, data, temperature, MIRROR_BELOW)
    return {
        "temperature": temperature,
        "mirror_below": MIRROR_BELOW,
        "unknown_below": answers.threshold(1.0, UNKNOWN_LOST) if count else 0.0,
        "images": count,
    }


def draw(history: list[dict[str, float]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        Console().print("no learning curves: matplotlib is not installed")
        return
    epochs = range(1, len(history) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    left.plot(epochs, [row["loss"] for row in history], color="tab:red", marker=".")
    left.set(xlabel="epoch", ylabel="training loss (augmented, smoothed)")
    right = left.twinx()
    right.plot(epochs, [100 * row["top1"] for row in history], color="tab:blue", marker=".")
    right.set(ylabel="top-1 of held-out images, % (averaged weights)")
    figure.savefig(path, dpi=110)


def report(content: dict[str, Any], out: Path) -> None:
    for label, share in content["metrics"]["per_class"].items():
        Console().print(f"{label:>12} {share:.4f}", highlight=False)
    parameters = sum(weight.numel() for weight in content["state_dict"].values())
    facts = ", ".join(
        f"{name} {content[part][name]:.4f}"
        for part, name in (
            ("metrics", "top1"),
            ("metrics", "expected_calibration_error"),
            ("calibration", "temperature"),
            ("calibration", "unknown_below"),
        )
    )
    facts = f"{out.stat().st_size} bytes, {parameters} numbers, {facts}"
    Console().print(f"{out}: {facts}", highlight=False, soft_wrap=True)
