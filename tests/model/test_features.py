"""The features that a network makes its scores of: the same on both runtimes."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testkit.images.leaves import pictures
from testkit.images.model_files import at_work, choice, saved, torchscript
from visionfleet.contract.vectors import decode_vector
from visionfleet.model.efficientnet_lite import FEATURES, EfficientNetLite0
from visionfleet.model.features import Split, last_layer, split
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load
from visionfleet.model.torch_network import TorchNetwork
from visionfleet.model.torchvision_weights import build

pytestmark = pytest.mark.needs_torch

RUNTIMES = ("torch", "openvino")


def small(folder: Path, runtime: str, precision: str = "float32") -> tuple[nn.Module, Inference]:
    torch.manual_seed(3)
    module = EfficientNetLite0(3).eval()
    settings = choice(folder, saved(module.state_dict()), architecture="efficientnet_lite0")
    return module, at_work(load(settings), 4, 1, precision, runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("count", [1, 5])
def test_features_are_what_the_last_layer_takes(tmp_path: Path, runtime: str, count: int) -> None:
    module, model = small(tmp_path, runtime)
    shown = [pixels for pixels, _ in zip(pictures(32), range(count), strict=False)]
    scores, found = model.scores_and_features(shown)
    how = TorchNetwork(module, model.preprocessing, torch.device("cpu"))
    expected = cast("EfficientNetLite0", module).features(how.prepared(shown)).numpy()
    assert found is not None
    assert found.shape == (count, FEATURES) == (count, model.features)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-3)
    np.testing.assert_allclose(scores, model.scores(shown), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rank_and_embed_ranks_as_rank_does(tmp_path: Path, runtime: str) -> None:
    _, model = small(tmp_path, runtime)
    shown = [pixels for pixels, _ in zip(pictures(32), range(3), strict=False)]
    for (ranking, text), plain in zip(
        model.rank_and_embed(shown, 3), model.rank(shown, 3), strict=True
    ):
        assert [one.label for one in ranking] == [one.label for one in plain]
        assert text is not None
        assert len(decode_vector(text)) == FEATURES


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_model_of_unknown_layers_has_no_features(tmp_path: Path, runtime: str) -> None:
    model = at_work(load(choice(tmp_path, torchscript())), 4, 1, "float32", runtime)
    shown = [np.zeros((32, 32, 3), np.uint8)]
    assert model.features is None
    assert model.rank_and_embed(shown, 3) == [(model.rank(shown, 3)[0], None)]


@pytest.mark.parametrize(
    ("architecture", "features"),
    [("resnet18", 512), ("mobilenet_v3_small", 1024), ("shufflenet_v2_x0_5", 1024)],
)
def test_last_layer_of_published_networks(architecture: str, features: int) -> None:
    module, images = build(architecture, 3, "model.architecture").eval(), torch.rand(2, 3, 64, 64)
    expected = module(images)
    parted = split(module, images)
    assert isinstance(parted, Split)
    assert parted.last.in_features == features
    torch.testing.assert_close(parted(images), expected)


class Twice(nn.Module):
    """Its last layer is used for something else as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(self.layer(images.flatten(1)))
        return found


class Doubled(nn.Module):
    """Something follows its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = 2 * self.layer(images.flatten(1))
        return found


@pytest.mark.parametrize("module", [Twice(), Doubled()], ids=["twice", "doubled"])
def test_layer_that_is_not_last_is_not_taken(module: nn.Module) -> None:
    assert last_layer(module, torch.rand(2, 1, 2, 2)) is None
