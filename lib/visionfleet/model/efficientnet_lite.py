"""EfficientNet-Lite0 (Tan and others, 2020), and the key names of its published weights.

No I/O here.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1280
_NORM_EPSILON = 1e-3

# Stages: expansion factor; kernel size; stride of the first block; output channels; blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)

FIRST_KEY = "_conv_stem.weight"
# The keys of the published PyTorch weights.
_THEIR_KEYS = tuple(
    (re.compile(theirs), ours)
    for theirs, ours in (
        (r"_conv_stem\.", "stem.convolution."),
        (r"_bn0\.", "stem.norm."),
        (r"_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.convolution."),
        (r"_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.norm."),
        (r"_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.filter.convolution."),
        (r"_blocks\.(\d+)\._bn1\.", r"blocks.\1.filter.norm."),
        (r"_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.convolution."),
        (r"_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.norm."),
        (r"_conv_head\.", "head.convolution."),
        (r"_bn1\.", "head.norm."),
        (r"_fc\.", "classify."),
    )
)


class SameConvolution(nn.Conv2d):
    """Pads like TensorFlow's SAME: output side / stride rounded up, odd padding at right and
    bottom.

    It differs from PyTorch's padding at stride 2.
    """

    def forward(self, images: Tensor) -> Tensor:
        down, across = (self._padding(side, i) for i, side in enumerate(images.shape[2:]))
        return super().forward(functional.pad(images, (*across, *down)))

    def _padding(self, side: int, dimension: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[dimension], self.stride[dimension]
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return missing // 2, missing - missing // 2


def _layer(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    kind = SameConvolution if stride > 1 else nn.Conv2d
    padding = 0 if stride > 1 else kernel // 2
    convolution = kind(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=_NORM_EPSILON)
    return nn.Sequential(OrderedDict(convolution=convolution, norm=norm))


class Block(nn.Module):
    """Inverted residual: expand, depthwise convolution, project."""

    def __init__(self, inputs: int, wider: int, kernel: int, stride: int, outputs: int) -> None:
        super().__init__()
        inside = inputs * wider
        self.expand = _layer(inputs, inside) if wider > 1 else None
        self.filter = _layer(inside, inside, kernel, stride, groups=inside)
        self.project = _layer(inside, outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        wide = images if self.expand is None else functional.relu6(self.expand(images))
        narrow: Tensor = self.project(functional.relu6(self.filter(wide)))
        return images + narrow if self.adds else narrow


class EfficientNetLite0(nn.Module):
    """N,3,H,W, made for sides of 224, -> N,classes logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels = 32
        self.stem = _layer(3, channels, kernel=3, stride=2)
        self.blocks = nn.Sequential()
        for wider, kernel, stride, outputs, count in _STAGES:
            for number in range(count):
                first = stride if number == 0 else 1
                self.blocks.append(Block(channels, wider, kernel, first, outputs))
                channels = outputs
        self.head = _layer(channels, FEATURES)
        self.classify = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """N,3,H,W -> N,FEATURES: the input of the last layer."""
        inside = self.blocks(functional.relu6(self.stem(images)))
        return functional.relu6(self.head(inside)).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classify(self.features(images))
        return scores


def renamed(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map published keys to this network's names; other keys are unchanged."""
    return {_ours(key): value for key, value in published.items()}


def _ours(key: str) -> str:
    for theirs, ours in _THEIR_KEYS:
        if theirs.match(key):
            return theirs.sub(ours, key, count=1)
    return key
