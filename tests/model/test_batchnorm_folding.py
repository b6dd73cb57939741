"""Batch norms are folded where that is sound, and only there; the answers stay."""

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from visionfleet.model.batchnorm_folding import fold

pytestmark = pytest.mark.needs_torch

Module = TypeVar("Module", bound=nn.Module)

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def with_statistics(module: Module) -> Module:
    """Give batch norms statistics that matter, as training does."""
    generator = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight, part.bias, part.running_mean, part.running_var):
                assert values is not None
                values.data.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return module.eval()


def difference(module: nn.Module, folded: nn.Module) -> float:
    with torch.inference_mode():
        return float((module(IMAGES) - folded(IMAGES)).abs().max())


class Plain(nn.Module):
    """Two pairs behind each other, declared in another order than they are called in."""

    def __init__(self) -> None:
        super().__init__()
        self.second_norm = nn.BatchNorm2d(6)
        self.norm = nn.BatchNorm2d(5)
        self.second = nn.Conv2d(5, 6, 3)
        self.first = nn.Conv2d(3, 5, 3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        images = torch.relu(self.norm(self.first(images)))
        return torch.mean(self.second_norm(self.second(images)), dim=(2, 3))


class UsedTwice(Plain):
    """The convolution's own answer is used beside that of its norm."""

    def forward(self, images: Tensor) -> Tensor:
        raw = self.first(images)
        return torch.mean(self.second((self.norm(raw) + raw).relu()), dim=(2, 3))


class CalledTwice(Plain):
    """One convolution in front of a norm here and alone there."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.mean(self.norm(self.first(images)) + self.first(images), dim=(2, 3))


class ChangedBetween(Plain):
    """The convolution's answer is changed in place before the norm takes it."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.mean(self.norm(self.first(images).relu_()), dim=(2, 3))


class Pooled(Plain):
    """Pooling between the first two."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        images = torch.relu(self.norm(self.pool(self.first(images))))
        return torch.mean(self.second_norm(self.second(images)), dim=(2, 3))


class PoolWithPlaces(Pooled):
    """A pool that also tells where the largest were, and gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)

    def forward(self, images: Tensor) -> Tensor:
        return torch.mean(self.norm(self.pool(self.first(images))[0]), dim=(2, 3))


class ByName(Pooled):
    """Everything is called with a named argument, which hooks do not see."""

    def forward(self, images: Tensor) -> Tensor:
        normed = self.norm(input=self.pool(input=self.first(input=images)))
        return torch.mean(normed, dim=(2, 3))


class SomethingBetween(Plain):
    """A function, whose work nothing tells."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.mean(self.norm(torch.sigmoid(self.first(images))), dim=(2, 3))


def test_conv_and_norm_pairs_are_found_by_data_flow() -> None:
    module = with_statistics(Plain())
    folded, pairs = fold(module, IMAGES)
    assert pairs == 2
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert difference(module, folded) < 1e-5
    assert any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(
    "kind",
    [UsedTwice, CalledTwice, ChangedBetween, SomethingBetween, PoolWithPlaces, ByName],
)
def test_unfoldable_norms_are_left(kind: type[nn.Module]) -> None:
    module = with_statistics(kind())
    folded, pairs = fold(module, IMAGES)
    assert (folded is module, pairs) == (True, 0)


def test_norm_after_max_pool_folds_unless_it_reverses_order() -> None:
    module = with_statistics(Pooled())
    folded, pairs = fold(module, IMAGES)
    assert pairs == 2
    assert difference(module, folded) < 1e-5

    module.norm.weight.data[2] = -1.0
    folded, pairs = fold(module, IMAGES)
    assert pairs == 1, "the other one all the same"
    assert difference(module, folded) < 1e-5


def test_resnet18_is_folded_completely() -> None:
    from visionfleet.model.torchvision_weights import build

    torch.manual_seed(0)
    module = with_statistics(build("resnet18", 10, "model.architecture"))
    folded, pairs = fold(module, IMAGES)
    assert pairs == 20
    with torch.inference_mode():
        expected = module(IMAGES)
    assert difference(module, folded) < 1e-4 * float(expected.abs().max())
