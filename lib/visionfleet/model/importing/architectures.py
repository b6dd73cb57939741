"""Architectures of torchvision and timm by their names, and the shapes of their parts."""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from visionfleet.config.classifier import DEFAULT_MODEL
from visionfleet.errors import BadModel
from visionfleet.model import torchvision_weights
from visionfleet.model.efficientnet_lite import EfficientNetLite0
from visionfleet.model.importing.libraries import timm_library
from visionfleet.model.published_names import unknown

Shapes = Mapping[str, torch.Size]
_FEW = 7  # a number of classes that no network has by default


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


def shapes_of(architecture: Architecture, classes: int = 1000) -> Shapes:
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
        return of_torchvision(bare)
    timm = timm_library(required=library == "timm")
    if timm is not None and timm.is_model(bare):
        return of_timm(bare)
    raise BadModel(f"--architecture: {name!r} is {unknown_name(bare)}")


def unknown_name(name: str) -> str:
    names = {*torchvision_weights.known(), *timm_names()}
    return unknown(name, names, "torchvision or timm")


def timm_names() -> Sequence[str]:
    timm = timm_library(required=False)
    return timm.list_models() if timm is not None else ()


def of_torchvision(name: str) -> Architecture:
    return Architecture(
        name, "torchvision", lambda classes: torchvision_weights.build(name, classes, "")
    )


def of_timm(name: str) -> Architecture:
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
            (of_torchvision, torchvision_weights.known()),
            (of_timm, timm_names()),
        )
        for name in names
        if re.search(rf"(?:^|_){re.escape(name)}(?:_|$)", words)
    ]
    return [make(name) for make, name in sorted(found, key=lambda pair: -len(pair[1]))]
