"""The shipped model: small, and as good as it says of itself, on every fifth test image."""

import json
from dataclasses import replace
from itertools import islice

import pytest
import torch

from testkit import ROOT
from testkit.images.reading import Limits
from testkit.processes.stack import data
from visionfleet.config.classifier import ModelSection
from visionfleet.evaluation import datasets
from visionfleet.model.evaluate import Benchmark, measure
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load

FILE = ROOT / "models" / "cifar10.pt"
EACH = 5


def answered(**changes: float) -> Benchmark:
    loaded = replace(load(ModelSection(directory=FILE.parent)), **changes)  # type: ignore[arg-type]
    model = Inference(loaded, 50, 1, "float32")
    images = islice(datasets.read(data("cifar10") / "test.zip", None), 0, None, EACH)
    return measure(model, images, Limits(1_000_000, 1_000_000, ("JPEG",)), 50, 2)


@pytest.fixture(scope="module")
def measured() -> Benchmark:
    return answered()


def test_default_model_file_is_small() -> None:
    assert FILE.stat().st_size <= 5_000_000


def test_default_model_has_its_stated_accuracy(measured: Benchmark) -> None:
    stated = torch.load(FILE, weights_only=True)["metrics"]
    found = measured.evaluation
    assert len(found.folders) == stated["test_images"] / EACH
    # Three standard errors of a share of 2,000 images are 2.1 points.
    assert found.top(1) == pytest.approx(stated["top1"], abs=0.021)
    assert found.expected_calibration_error() <= 0.03, "2,000 images add noise of their own"


def test_flip_augmentation_gains_more_than_it_loses(measured: Benchmark) -> None:
    once, twice = answered(mirror_below=0.0).evaluation, measured.evaluation
    assert twice.right.sum() > once.right.sum()
    changed = (once.probabilities != twice.probabilities).any(axis=1)
    assert 0.1 < changed.mean() < 0.2, "one image in seven"


def test_model_card_describes_this_file() -> None:
    """Measured again whenever the file changes: `python training/card.py`."""
    card = json.loads(FILE.with_name("card.json").read_text())
    stated = torch.load(FILE, weights_only=True)
    loaded = load(ModelSection(directory=FILE.parent)).info
    assert card["model"] == f"{loaded.name} {loaded.fingerprint}"
    assert card["unknown_below"] == stated["calibration"]["unknown_below"]
    assert card["test"]["top1"] == pytest.approx(stated["metrics"]["top1"], abs=1e-4)
    text = FILE.with_name("README.md").read_text()
    assert f"| top-1 | **{card['test']['top1']:.2%}**".replace("%", " %") in text
    for label, share in card["test"]["per_class"].items():
        assert f"| {label} | {100 * share:.1f} % |" in text
