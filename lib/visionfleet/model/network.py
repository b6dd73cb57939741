"""The networks a checkpoint can name, built from a name and plain integers; no I/O here."""

import torch
from torch import Tensor, nn

LARGEST_WIDTH = 256
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
    """Two convolution blocks around which the input is added: N,C,H,W -> N,C,H,W."""

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


def build(architecture: str, options: dict[str, int], classes: int) -> nn.Module:
    """Build a network with random weights; a name or option that is not known is a ValueError."""
    if architecture != "resnet9":
        raise ValueError(f"unknown architecture {architecture!r}; known: resnet9")
    unknown = sorted(set(options) - {"width"})
    if unknown:
        raise ValueError(f"unknown options of resnet9: {', '.join(unknown)}; known: width")
    width = options.get("width", 32)
    if not 1 <= width <= LARGEST_WIDTH:
        raise ValueError(f"width of resnet9 is {width}; allowed: 1 to {LARGEST_WIDTH}")
    if classes < 1:
        raise ValueError(f"a network needs at least one class, not {classes}")
    return ResNet9(classes, width)
