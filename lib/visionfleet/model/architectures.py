"""The networks a checkpoint can name, built from a name and plain integers; no I/O here."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_WIDTH = 512
WHITENED = 24
LOGIT_SCALE = 0.125


class ConvBlock(nn.Module):
    """Convolution, norm and ReLU: N,inputs,H,W -> N,outputs,H,W, or half of H and W with `pool`."""

    def __init__(self, inputs: int, outputs: int, pool: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        # Pooling before the norm gives the norm a quarter of the pixels to work on.
        return torch.relu(self.norm(self.pool(self.conv(images))))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = ConvBlock(channels, channels)

    def forward(self, images: Tensor) -> Tensor:
        refined: Tensor = self.second(self.first(images))
        return images + refined


class ResNet9(nn.Module):
    """Residual network of nine layers: N,3,H,W with sides of 8 or more -> N,classes logits."""

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.features = nn.Sequential(
            ConvBlock(3, width),
            ConvBlock(width, 2 * width, pool=True),
            Residual(2 * width),
            ConvBlock(2 * width, 4 * width, pool=True),
            ConvBlock(4 * width, 8 * width, pool=True),
            Residual(8 * width),
        )
        self.head = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        strongest = self.features(images).amax(dim=(2, 3))
        logits: Tensor = self.head(strongest) * LOGIT_SCALE
        return logits


class Stage(nn.Module):
    """Halve the sides, then refine: N,inputs,H,W -> N,outputs,H/2,W/2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(outputs)
        self.refine = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        wide = functional.gelu(self.norm(self.pool(self.widen(images))))
        return functional.gelu(self.norm2(self.refine(wide)))


class ConvNet8(nn.Module):
    """Eight layers: N,3,H,W with sides of 9 or more -> N,classes logits.

    `whiten`, fixed, holds the principal directions of 2x2 patches, each with its negative.
    """

    def __init__(self, classes: int, first: int = 48, second: int = 128, third: int = 320) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, WHITENED, kernel_size=2)
        self.stages = nn.Sequential(
            Stage(WHITENED, first), Stage(first, second), Stage(second, third)
        )
        self.head = nn.Linear(third, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(functional.gelu(self.whiten(images)))
        logits: Tensor = self.head(features.amax(dim=(2, 3))) * LOGIT_SCALE
        return logits


NETWORKS: dict[str, Callable[..., nn.Module]] = {"resnet9": ResNet9, "convnet8": ConvNet8}
# Each option is a number of channels: that of the kernels named here.
_WIDTHS = {
    "resnet9": {"width": "features.0.conv.weight"},
    "convnet8": {
        "first": "stages.0.widen.weight",
        "second": "stages.1.widen.weight",
        "third": "stages.2.widen.weight",
    },
}


def build(architecture: str, options: dict[str, int], classes: int) -> nn.Module:
    if architecture not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise ValueError(f"unknown architecture {architecture!r}; known: {known}")
    allowed = _WIDTHS[architecture]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        known = ", ".join(allowed)
        raise ValueError(f"unknown options of {architecture}: {', '.join(unknown)}; known: {known}")
    for name, width in options.items():
        if not 1 <= width <= LARGEST_WIDTH:
            raise ValueError(f"{name} of {architecture} is {width}; allowed: 1 to {LARGEST_WIDTH}")
    if classes < 1:
        raise ValueError(f"a network needs at least one class, not {classes}")
    return NETWORKS[architecture](classes, **options)


def options_of(architecture: str, weights: Mapping[str, Tensor]) -> dict[str, int]:
    return {
        option: int(weights[kernel].shape[0])
        for option, kernel in _WIDTHS[architecture].items()
        if kernel in weights
    }
