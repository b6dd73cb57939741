"""Test-time augmentation: images that a model is not sure of are flipped and scored again."""

import pytest
import torch
from torch import Tensor, nn

from testkit import ROOT
from visionfleet.config.classifier import ModelSection
from visionfleet.imaging.preprocess import Preprocessing
from visionfleet.model.forward import twice_if_unsure
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded, info
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch


class LeftSide(nn.Module):
    """Two scores: the mean of the left half of an image, and nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        left = images[:, :, :, : images.shape[3] // 2].mean(dim=(1, 2, 3))
        return torch.stack([left, torch.zeros_like(left)], dim=1)


def halves(*sides: tuple[float, float]) -> Tensor:
    """One 4 x 4 image for each pair of brightnesses, left and right."""
    rows = [torch.tensor([left, left, right, right]).expand(3, 4, 4) for left, right in sides]
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("left", "right", "temperature", "below", "score", "looks"),
    [
        pytest.param(4.0, 0.0, 1.0, 0.8, 4.0, 1, id="0.98: sure"),
        pytest.param(1.0, 5.0, 1.0, 0.8, 3.0, 2, id="0.73: the mean of both"),
        pytest.param(1.0, 5.0, 1.0, 0.7, 1.0, 1, id="0.73 is enough"),
        pytest.param(1.0, 5.0, 0.5, 0.8, 1.0, 1, id="a low temperature makes it sure: 0.88"),
        pytest.param(0.0, 5.0, 1.0, 0.0, 0.0, 1, id="switched off"),
        pytest.param(9.0, 1.0, 1.0, 1.0, 5.0, 2, id="never sure enough"),
    ],
)
def test_flip_augmentation_averages_unsure_images(
    left: float, right: float, temperature: float, below: float, score: float, looks: int
) -> None:
    module = LeftSide()
    scores = twice_if_unsure(module, halves((left, right)), temperature, below)
    assert scores.tolist() == [[score, 0.0]]
    assert module.seen == [1] * looks


def test_only_unsure_images_are_flipped() -> None:
    module = LeftSide()
    scores = twice_if_unsure(module, halves((4, 0), (1, 5), (-4, 9), (0.5, -1)), 1.0, 0.8)
    assert scores[:, 0].tolist() == [4.0, 3.0, -4.0, -0.25]
    assert module.seen == [4, 2]


def test_served_model_flips_as_its_file_says() -> None:
    white, black = (torch.full((4, 2, 3), shade, dtype=torch.uint8) for shade in (255, 0))
    pixels = torch.cat([white, black], dim=1).numpy()
    how = Preprocessing(4, 4, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    answers = []
    for below in (0.0, 0.8):
        loaded = Loaded(LeftSide(), ("bright", "dark"), how, info("m", b""), mirror_below=below)
        model = Inference(loaded, 1, 1, "float32")
        answers.append(float(model.probabilities([pixels])[0, 0]))
    once, twice = torch.sigmoid(torch.tensor([1.0, 0.5])).tolist()
    assert answers == pytest.approx([once, twice])


def test_configuration_overrides_the_model_file() -> None:
    models = ROOT / "models"
    stated = torch.load(models / "cifar10.pt", weights_only=True)["calibration"]
    assert load(ModelSection(directory=models)).mirror_below == stated["mirror_below"] > 0
    assert load(ModelSection(directory=models)).unknown_below == stated["unknown_below"]
    asked = load(ModelSection(directory=models, unknown_below=0.0, temperature=3.0))
    assert (asked.unknown_below, asked.temperature) == (0, 3)
