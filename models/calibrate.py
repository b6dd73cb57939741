"""Calibrate the default model anew: fit temperature and threshold on one half of the test images.

For weights that were trained on all training images, so that none are left that they have not seen.
What is fitted is two numbers; what the card says of calibration is of the other half.
`python models/calibrate.py --data DIR`: DIR/test.zip holds JPEGs in one folder per class.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from checkpoint import calibrated, write_atomically

from visionfleet import datasets
from visionfleet.config.worker import Model
from visionfleet.datasets import Labelled
from visionfleet.evaluation import Evaluation
from visionfleet.images import Limits
from visionfleet.model.inference import Inference, Settings
from visionfleet.model.loading import load
from visionfleet.model.measuring import measure

LIMITS = Limits(1_000_000, 1_000_000, ("JPEG", "PNG"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of test.zip")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where cifar10.pt is")
    options = parser.parse_args()
    images = list(datasets.read(options.data / "test.zip", None))
    plain = answers(options.models, images[::2], as_it_is=False)
    path = options.models / "cifar10.pt"
    content = torch.load(path, weights_only=True)
    content["calibration"] = calibrated(plain)
    write_atomically(path, lambda unfinished: torch.save(content, unfinished))
    other = answers(options.models, images[1::2], as_it_is=True)
    unknown, known_top1 = other.unknown(content["calibration"]["unknown_below"])
    print(content["calibration"])
    print(f"the other half: top-1 {other.top(1):.4f}, calibration error", end=" ")
    print(f"{other.expected_calibration_error():.4f}", end=", ")
    print(f"unknown {unknown:.4f}, top-1 of the others {known_top1:.4f}")


def answers(models: Path, images: list[Labelled], *, as_it_is: bool) -> Evaluation:
    """Classify in float32; with the temperature of the file, or with none."""
    loaded = load(Model(directory=models))
    if not as_it_is:
        loaded = replace(loaded, temperature=1.0)
    model = Inference(loaded, 50, 1, Settings(precision="float32"))
    return measure(model, images, LIMITS, 50, 2).evaluation


if __name__ == "__main__":
    main()
