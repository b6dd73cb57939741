"""From images to pixels, as torchvision's presets do it."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from visionfleet.imaging.preprocess import Preprocessing, prepare

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("size", [(640, 480), (333, 517), (256, 300), (100, 90), (1200, 230)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_preprocessing_agrees_with_torchvision_presets(
    size: tuple[int, int], interpolation: str
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    preset = ImageClassification(
        crop_size=224,
        resize_size=256,
        mean=MEAN,
        std=STD,
        interpolation=InterpolationMode(interpolation),
    )
    pixels = prepare(image, Preprocessing(256, 224, MEAN, STD, interpolation))
    ours = (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255 - torch.tensor(MEAN).view(3, 1, 1)
    ) / (torch.tensor(STD).view(3, 1, 1))
    assert torch.allclose(ours, preset(image), atol=1e-5)


def test_preprocessing_leaves_pixels_of_the_right_size() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    same = prepare(Image.fromarray(noise), Preprocessing(32, 32, MEAN, STD))
    assert (same == noise).all()


def test_an_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="known: bilinear, bicubic, lanczos"):
        Preprocessing(32, 32, MEAN, STD, "best")
