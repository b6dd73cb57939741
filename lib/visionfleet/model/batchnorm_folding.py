"""Folds batch norms into the preceding convolutions: the same answers with less work.

A traced forward pass finds the norms whose input is a convolution's output, directly or through a
max pool. The folded network must give the same answers.
"""

import copy
from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TOLERANCE = 1e-3  # relative to the largest score


def fold(module: nn.Module, images: Tensor) -> tuple[nn.Module, int]:
    """A folded copy and the number of norms folded; the module itself if none can be."""
    pairs, expected = _watch(module, images)
    if not pairs:
        return module, 0
    folded = copy.deepcopy(module)
    for convolution, norm in pairs:
        parts: Any = folded.get_submodule(convolution), folded.get_submodule(norm)
        folded.set_submodule(convolution, fuse_conv_bn_eval(*parts))
        folded.set_submodule(norm, nn.Identity())
    return (folded, len(pairs)) if _same(folded, images, expected) else (module, 0)


def _same(folded: nn.Module, images: Tensor, expected: Tensor) -> bool:
    with torch.inference_mode():
        difference = (folded(images) - expected).abs().max()
    return bool(difference <= _TOLERANCE * expected.abs().max())


class _Watch:
    def __init__(self) -> None:
        # By id, and kept alive, so that ids are not reused. The version detects in-place changes.
        self._given: dict[int, tuple[str, Tensor, int]] = {}
        self._calls: Counter[str] = Counter()
        self._pooled: set[str] = set()
        self._pairs: list[tuple[str, str, bool]] = []

    def hooks(self, module: nn.Module) -> list[Any]:
        hooks: list[Any] = []
        for name, part in module.named_modules():
            if isinstance(part, nn.Conv2d):
                hooks.append(part.register_forward_hook(partial(self._gave, name)))
            elif isinstance(part, nn.MaxPool2d):
                hooks.append(part.register_forward_hook(self._pools))
            elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
                hooks.append(part.register_forward_pre_hook(partial(self._takes, name)))
        return hooks

    def pairs(self) -> list[tuple[str, str]]:
        norms = Counter(convolution for convolution, _, _ in self._pairs)
        return [
            (convolution, norm)
            for convolution, norm, rising in self._pairs
            if self._calls[convolution] == self._calls[norm] == norms[convolution] == 1
            and (rising or convolution not in self._pooled)
        ]

    def _gave(self, name: str, _part: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._calls[name] += 1
        self._given[id(output)] = (name, output, output._version)

    def _pools(self, _part: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        # A pool that also returns indices returns a tuple.
        if isinstance(output, Tensor) and (convolution := self._source(inputs)):
            self._given[id(output)] = (convolution, output, output._version)
            self._pooled.add(convolution)

    def _takes(self, name: str, norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        self._calls[name] += 1
        if convolution := self._source(inputs):
            # A negative factor would turn the maximum into the minimum.
            rising = norm.weight is None or bool((norm.weight > 0).all())
            self._pairs.append((convolution, name, rising))

    def _source(self, inputs: tuple[Tensor, ...]) -> str | None:
        """The convolution that produced this, unless modified since; hooks do not know names."""
        if not inputs:
            return None
        taken = inputs[0]
        convolution, output, version = self._given.get(id(taken), (None, taken, -1))
        return convolution if output._version == version else None


def _watch(module: nn.Module, images: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    watch = _Watch()
    hooks = watch.hooks(module)
    try:
        with torch.no_grad():  # not inference mode, where tensors have no version
            answer: Tensor = module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return watch.pairs(), answer
