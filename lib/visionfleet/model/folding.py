"""Folds batch norms into the convolutions before them: the same answers with less work.

A network's code is not read. One forward pass is watched for the norms that take what a
convolution gave, untouched; and the folded network must answer as the network did.
"""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TOLERANCE = 1e-3  # of the largest score


def fold(module: nn.Module, images: Tensor) -> tuple[nn.Module, int]:
    """Return a folded copy and the number of norms folded; the module itself when none can be.

    Raises what the module raises on these images.
    """
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


def _watch(module: nn.Module, images: Tensor) -> tuple[list[tuple[str, str]], Tensor]:
    """Run the module; list the names of convolutions and of the norms right behind them."""
    given: dict[int, tuple[str, Tensor, int]] = {}
    pairs: list[tuple[str, str]] = []
    calls: Counter[str] = Counter()

    def gave(name: str, output: Tensor) -> None:
        calls[name] += 1
        # Held, so that its id is not given to another tensor; the version tells of changes.
        given[id(output)] = (name, output, output._version)

    def takes(name: str, taken: Tensor) -> None:
        calls[name] += 1
        convolution, output, version = given.get(id(taken), ("", taken, -1))
        if output._version == version:
            pairs.append((convolution, name))

    hooks: list[Any] = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            hooks.append(part.register_forward_hook(lambda _m, _i, out, n=name: gave(n, out)))
        elif isinstance(part, nn.BatchNorm2d) and part.track_running_stats:
            hooks.append(part.register_forward_pre_hook(lambda _m, i, n=name: takes(n, i[0])))
    try:
        with torch.no_grad():  # not inference mode: there tensors have no version
            answer: Tensor = module(images)
    finally:
        for hook in hooks:
            hook.remove()
    norms = Counter(convolution for convolution, _ in pairs)
    once = [
        (convolution, norm)
        for convolution, norm in pairs
        if calls[convolution] == calls[norm] == norms[convolution] == 1
    ]
    return once, answer
