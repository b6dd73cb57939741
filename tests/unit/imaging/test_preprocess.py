"""From images to pixels, as torchvision's presets do it."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms._presets import ImageClassification

from visionfleet.imaging.decode import Photo
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.imaging.orientation import TRANSPOSE
from visionfleet.imaging.preprocess import prepare, stored_box

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def smooth(size: tuple[int, int]) -> Image.Image:
    """A picture without edges; where those overshoot, the order of the axes is seen."""
    noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(640, 480), (333, 517), (256, 300), (100, 90), (1200, 230)])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_preprocessing_agrees_with_torchvision_presets(
    size: tuple[int, int], interpolation: str
) -> None:
    image = smooth(size)
    preset = ImageClassification(
        crop_size=224,
        resize_size=256,
        mean=MEAN,
        std=STD,
        interpolation=InterpolationMode(interpolation),
    )
    pixels = prepare(Photo(image), Preprocessing(256, 224, MEAN, STD, interpolation))
    ours = (
        torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255 - torch.tensor(MEAN).view(3, 1, 1)
    ) / (torch.tensor(STD).view(3, 1, 1))
    difference = (ours - preset(image)).abs() * torch.tensor(STD).view(3, 1, 1) * 255
    assert difference.max() < 2.01
    assert (difference > 1.01).float().mean() < 1e-4


def test_preprocessing_leaves_pixels_of_the_right_size() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    same = prepare(Photo(Image.fromarray(noise)), Preprocessing(32, 32, MEAN, STD))
    assert (same == noise).all()


def test_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="known: bilinear, bicubic, lanczos"):
        Preprocessing(32, 32, MEAN, STD, "best")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(64, 48), (48, 64), (71, 53), (300, 41), (50, 50)])
def test_rotation_before_or_after_cropping_is_the_same(
    orientation: int, size: tuple[int, int]
) -> None:
    stored = smooth(size)
    turn = TRANSPOSE.get(orientation)
    upright = stored if turn is None else stored.transpose(turn)
    how = Preprocessing(40, 32, MEAN, STD)
    turned_late = prepare(Photo(stored, orientation), how).astype(int)
    turned_first = prepare(Photo(upright), how).astype(int)
    difference = np.abs(turned_late - turned_first)  # the axes are resampled in another order
    assert difference.max() <= 2
    assert difference.mean() < 0.3


@pytest.mark.parametrize("size", [(1, 65_500), (65_500, 1), (1, 1), (2, 9000)])
def test_thin_images_cost_little(size: tuple[int, int]) -> None:
    pixels = prepare(Photo(Image.new("RGB", size, "red")), Preprocessing(256, 224, MEAN, STD))
    assert pixels.shape == (224, 224, 3)
    assert (pixels == (255, 0, 0)).all()


def test_crop_box_is_the_centre_of_the_stored_image() -> None:
    how = Preprocessing(256, 224, MEAN, STD)
    assert stored_box((512, 512), 1, how) == (32, 32, 480, 480)
    assert stored_box((1024, 512), 6, how) == stored_box((1024, 512), 1, how)
