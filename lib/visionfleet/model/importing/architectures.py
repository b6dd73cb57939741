"""Finds the architecture that weights belong to, by names and shapes of their parts."""

import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from visionfleet.config.classifier import DEFAULT_MODEL
from visionfleet.errors import BadModel
from visionfleet.model import torchvision_weights
from visionfleet.model.efficientnet_lite import EfficientNetLite0
from visionfleet.model.importing.libraries import timm_library
from visionfleet.model.published_names import unknown
from visionfleet.model.state_dict import aligned

Shapes = Mapping[str, torch.Size]
_FEW = 7  # a number of classes that no network has by default
# How many families are searched: those whose parts are named most alike.
_FAMILIES = 3
_LIKENESS = 0.5


@dataclass(frozen=True, slots=True)
class Architecture:
    """`build` creates it for a number of classes."""

    name: str
    library: str
    build: Callable[[int], nn.Module]

    def __str__(self) -> str:
        return f"{self.name} of {self.library}" if self.library else self.name


class _NoWeights(TorchFunctionMode):
    """Creates networks on the meta device: only shapes are needed."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.empty:
            given["device"] = "meta"
        return func(*args, **given)


def shapes_of(architecture: Architecture, classes: int) -> Shapes:
    with warnings.catch_warnings(action="ignore"), _NoWeights():
        network = architecture.build(classes)
    return {name: value.shape for name, value in network.state_dict().items()}


def head_names(architecture: Architecture, shapes: Shapes) -> frozenset[str]:
    """The parts with one row per class."""
    few = shapes_of(architecture, _FEW)
    return frozenset(name for name, shape in shapes.items() if few.get(name) != shape)


def by_name(name: str) -> Architecture:
    """Find an architecture of torchvision or timm, or the default one; raises BadModel."""
    library, _, bare = name.rpartition(":")
    if bare == DEFAULT_MODEL:
        return Architecture(bare, "", EfficientNetLite0)
    if library != "timm" and bare in torchvision_weights.known():
        return _of_torchvision(bare)
    timm = timm_library(required=library == "timm")
    if timm is not None and timm.is_model(bare):
        return _of_timm(bare)
    raise BadModel(f"--architecture: {name!r} is {unknown_name(bare)}")


def unknown_name(name: str) -> str:
    names = {*torchvision_weights.known(), *timm_names()}
    return unknown(name, names, "torchvision or timm")


def timm_names() -> Sequence[str]:
    timm = timm_library(required=False)
    return timm.list_models() if timm is not None else ()


def _of_torchvision(name: str) -> Architecture:
    return Architecture(
        name, "torchvision", lambda classes: torchvision_weights.build(name, classes, "")
    )


def _of_timm(name: str) -> Architecture:
    def build(classes: int) -> nn.Module:
        network: nn.Module = timm_library(required=True).create_model(name, num_classes=classes)
        return network

    return Architecture(name, "timm", build)


def named_in(text: str) -> list[Architecture]:
    """Architectures named in a text, the longest name first."""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower())
    found = [
        (make, name)
        for make, names in (
            (_of_torchvision, torchvision_weights.known()),
            (_of_timm, timm_names()),
        )
        for name in names
        if re.search(rf"(?:^|_){re.escape(name)}(?:_|$)", words)
    ]
    return [make(name) for make, name in sorted(found, key=lambda pair: -len(pair[1]))]


def fitting(tensors: Mapping[str, Tensor]) -> list[Architecture]:
    """The torchvision architecture whose body fits the weights, if unique; else timm's."""
    ours = Architecture(DEFAULT_MODEL, "", EfficientNetLite0)
    likely = (ours, *_likely(torchvision_weights.families(), _of_torchvision, tensors))
    found = next((one for one in likely if fits(one, tensors)), None)
    if found is not None:
        return [found]
    return [one for one in _likely(_timm_families(), _of_timm, tensors) if fits(one, tensors)]


def _timm_families() -> Mapping[str, Sequence[str]]:
    if timm_library(required=False) is None:
        return {}
    models = importlib.import_module("timm.models")
    return {family: models.list_models(module=family) for family in models.list_modules()}


def _likely(
    families: Mapping[str, Sequence[str]],
    make: Callable[[str], Architecture],
    tensors: Mapping[str, Tensor],
) -> Iterator[Architecture]:
    """The members of families whose first member has the most similar part names."""
    ours, likeness = _patterns(tensors), {}
    for family, names in families.items():
        if names:
            theirs = _patterns(_shapes_or_none(make(names[0])))
            likeness[family] = len(ours & theirs) / max(len(ours | theirs), 1)
    best = sorted(likeness, key=lambda family: -likeness[family])[:_FAMILIES]
    for family in best:
        if likeness[family] >= _LIKENESS * likeness[best[0]] > 0:
            yield from map(make, families[family])


def _patterns(names: Mapping[str, object]) -> set[str]:
    """The last components of part names, without numbers: the naming style of a family."""
    return {re.sub(r"\d+", "0", ".".join(name.split(".")[-3:])) for name in names}


def _shapes_or_none(architecture: Architecture) -> Shapes:
    try:
        return shapes_of(architecture, 1000)
    except Exception:  # some need further packages or arguments
        return {}


def fits(architecture: Architecture, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the weights fit this network, except for its head."""
    shapes = _shapes_or_none(architecture)
    if not shapes:
        return False
    given = aligned(tensors, next(iter(shapes)))
    same = sum(n in given and given[n].shape == shape for n, shape in shapes.items())
    if same < 0.5 * len(shapes):
        return False
    from visionfleet.model.importing.weights import body_fits

    return body_fits(given, shapes, head_names(architecture, shapes))
