"""Extracts a row of scores from a network's output, whatever its structure."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.model.loaded import Loaded
from visionfleet.model.onnx_network import OnnxNetwork
from visionfleet.model.torch_network import MODEL_ERRORS, last_line

_LEAST_PROBABILITY = 1e-9
_PROBABILITIES = "it gives probabilities, which were made scores again"
_SIGMOID = (
    "its scores are between 0 and 1 and do not add up to 1, as behind a sigmoid: the ranking is "
    "its own, but the scores of results are nearly equal; import it without that layer"
)
_BATCHES = (3, 4, 8, 16, 32, 64)


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

    def train(self, mode: bool = True) -> "Scores":
        self.training = mode  # an exported program, which is one of inference, refuses to be asked
        return self

    def forward(self, images: Tensor) -> Tensor:
        given: Any = self.network(images.flip(1) if self.bgr else images)
        scores: Tensor = given if self.at is None else given[self.at]
        scores = scores.flatten(1)
        return scores.clamp(min=_LEAST_PROBABILITY).log() if self.probabilities else scores


def answered(model: Loaded, where: str, classes: int) -> tuple[nn.Module, int, str]:
    """Run a network on two images to locate its scores; returns a network that gives just these,
    their number, and a note. Raises BadModel.

    If it has several outputs, the one with `classes` columns is taken, else the first with rows.
    """
    if isinstance(model.module, OnnxNetwork):
        model.module.prefer(classes)
    side = model.preprocessing.crop
    images = torch.rand((2, 3, side, side), generator=torch.Generator().manual_seed(1)) * 4 - 2
    given = _given(model.module, images, where)
    at = _place(given, classes)
    scores = given if at is None else given[at]
    if not isinstance(scores, Tensor) or scores.ndim < 2 or max((1, *scores.shape[2:])) > 1:
        raise BadModel(f"{where}: gives {_shape(scores)}, and not a row of scores for each image")
    rows = scores.flatten(1).float()
    if rows.shape[1] == 1:
        raise BadModel(
            f"{where}: gives one score for each image, as of yes or no: give it one for each of "
            "two classes (of a logit: torch.cat([-score, score], 1)), and save it again"
        )
    if not rows.isfinite().all():
        raise BadModel(f"{where}: gives scores that are not finite")
    sums = rows.sum(dim=1)
    probabilities = bool((rows >= 0).all() and (sums - 1).abs().max() < 1e-3)
    note = _PROBABILITIES if probabilities else ""
    if not probabilities and (rows >= 0).all() and (rows <= 1).all():
        note = _SIGMOID
    if isinstance(model.module, OnnxNetwork):
        model.module.probabilities = probabilities  # converted together with the network
        return model.module, rows.shape[1], note
    plain = at is None and not probabilities and scores.ndim == 2
    module = model.module if plain else Scores(model.module, at, probabilities).eval()
    return module, rows.shape[1], note


def _given(module: nn.Module, images: Tensor, where: str) -> Any:
    with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
        try:
            return module(images)
        except MODEL_ERRORS:
            pass
        try:
            return module(images[:1])  # supports only one image at a time
        except MODEL_ERRORS as error:
            side = images.shape[-1]
            remedy = next((told for told, other in _others(images) if _takes(module, other)), "")
            if remedy:
                raise BadModel(f"{where}: {remedy}, and save it again") from error
            raise BadModel(
                f"{where}: cannot take an image of {side} x {side} pixels: {last_line(error)}; "
                "say its side: --crop PIXELS"
            ) from error


def _others(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Other inputs that a network may require, each with what to do about it."""
    one = images[:1]
    yield "takes images of one channel: let it take three (x.mean(1, keepdim=True))", one[:, :1]
    last = "takes N x H x W x 3: let it take N x 3 x H x W (x.permute(0, 2, 3, 1))"
    yield last, one.permute(0, 2, 3, 1)
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        name = str(kind).removeprefix("torch.")
        yield f"takes {name}: make it one of float32 (network.float())", one.to(kind)
    yield "takes bytes: let it take floating point, normalised", one.to(torch.uint8)
    for number in _BATCHES:
        many = one.expand(number, -1, -1, -1)
        yield f"takes {number} images at a time: let it take any number (a dynamic axis)", many


def _takes(module: nn.Module, images: Tensor) -> bool:
    try:
        module(images)
    except MODEL_ERRORS:
        return False
    return True


def _place(given: Any, classes: int) -> str | int | None:
    if isinstance(given, Tensor):
        return None
    places = given.keys() if isinstance(given, Mapping) else range(len(given))
    rows = [at for at in places if isinstance(given[at], Tensor) and given[at].ndim == 2]
    fitting = [at for at in rows if given[at].shape[1] == classes]
    if "logits" in places and not fitting:
        return "logits"
    return next(iter([*fitting, *rows, *places]), None)


def _shape(given: object) -> str:
    if isinstance(given, Tensor):
        return " x ".join(map(str, given.shape))
    return f"a {type(given).__name__}"
