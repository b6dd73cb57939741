"""Extracts a row of scores from a network's output, whatever its structure."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.model.importing.found import Found
from visionfleet.model.onnx_network import OnnxNetwork
from visionfleet.model.torch_network import MODEL_ERRORS, last_line

_LEAST_PROBABILITY = 1e-9


class Scores(nn.Module):
    """`at` locates the scores: a key, an index, or None for a plain tensor.

    Probabilities are converted to scores that softmax maps back to the same probabilities.
    """

    def __init__(
        self,
        network: nn.Module,
        at: str | int | None,
        probabilities: bool = False,
        bgr: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.at = network, at
        self.probabilities, self.bgr = probabilities, bgr

    def forward(self, images: Tensor) -> Tensor:
        given: Any = self.network(images.flip(1) if self.bgr else images)
        scores: Tensor = given if self.at is None else given[self.at]
        scores = scores.flatten(1)
        return scores.clamp(min=_LEAST_PROBABILITY).log() if self.probabilities else scores


class Answered(NamedTuple):
    module: nn.Module
    scores: int
    note: str = ""


def answered(found: Found, where: str, bgr: bool = False) -> Answered:
    """Run a network on two images to locate its scores; raises BadModel."""
    side = found.preprocessing.crop
    images = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(1)) * 4 - 2
    given = _given(found.module, images, where)
    at = _place(given)
    scores = given if at is None else given[at]
    if not isinstance(scores, Tensor) or scores.ndim < 2 or max((1, *scores.shape[2:])) > 1:
        raise BadModel(f"{where}: gives {_shape(scores)}, and not a row of scores for each image")
    rows = scores.flatten(1).float()
    if not rows.isfinite().all():
        raise BadModel(f"{where}: gives scores that are not finite")
    sums = rows.sum(dim=1)
    probabilities = bool((rows >= 0).all() and (sums - 1).abs().max() < 1e-3) and rows.shape[1] > 1
    note = "it gives probabilities, which were made scores again" if probabilities else ""
    if isinstance(found.module, OnnxNetwork):
        found.module.probabilities = probabilities  # converted together with the network
        return Answered(found.module, rows.shape[1], note)
    plain = at is None and not probabilities and not bgr and scores.ndim == 2
    module = found.module if plain else Scores(found.module, at, probabilities, bgr).eval()
    return Answered(module, rows.shape[1], note)


def _given(module: nn.Module, images: Tensor, where: str) -> Any:
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return module(images)
        except MODEL_ERRORS:
            pass
        try:
            return module(images[:1])  # supports only one image at a time
        except MODEL_ERRORS as error:
            side = images.shape[-1]
            raise BadModel(
                f"{where}: cannot take an image of {side} x {side} pixels: {last_line(error)}; "
                "say its side: --crop PIXELS"
            ) from error


def _place(given: Any) -> str | int | None:
    if isinstance(given, Mapping):
        return "logits" if "logits" in given else next(iter(given), None)
    if isinstance(given, list | tuple):
        fitting = (i for i, one in enumerate(given) if isinstance(one, Tensor) and one.ndim == 2)
        return next(fitting, 0)
    return None


def _shape(given: object) -> str:
    if isinstance(given, Tensor):
        return " x ".join(map(str, given.shape))
    return f"a {type(given).__name__}"
