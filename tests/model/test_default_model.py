"""The shipped model: small, and as good as it says of itself, on every fifth test image."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.support.stack import data
from visionfleet import datasets
from visionfleet.config.worker import Model
from visionfleet.images import Limits
from visionfleet.model.inference import Inference, Settings
from visionfleet.model.loading import load
from visionfleet.model.measuring import Measured, measure

FILE = Path(__file__).parents[2] / "models" / "cifar10.pt"
EACH = 5


@pytest.fixture(scope="module")
def measured() -> Measured:
    model = Inference(load(Model(directory=FILE.parent)), 50, 1, Settings(precision="float32"))
    images = islice(datasets.read(data("cifar10") / "test.zip", None), 0, None, EACH)
    return measure(model, images, Limits(1_000_000, 1_000_000, ("JPEG",)), 50, 2)


def test_the_file_is_small() -> None:
    assert FILE.stat().st_size <= 5_000_000


def test_accuracy_and_calibration_are_those_that_it_states(measured: Measured) -> None:
    stated = torch.load(FILE, weights_only=True)["metrics"]
    found = measured.evaluation
    assert len(found.folders) == stated["test_images"] / EACH
    # Three standard errors of a share of 2,000 images are 2.1 points.
    assert found.top(1) == pytest.approx(stated["top1"], abs=0.021)
    assert found.expected_calibration_error() <= 0.03, "2,000 images add noise of their own"
