"""Finds the architecture of weights by its parts, and loads them into it, with their own head."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from visionfleet.config.classifier import DEFAULT_MODEL
from visionfleet.errors import BadModel
from visionfleet.model import torchvision_weights
from visionfleet.model.efficientnet_lite import EfficientNetLite0
from visionfleet.model.importing.architectures import (
    Architecture,
    Shapes,
    head_names,
    of_timm,
    of_torchvision,
    shapes_of,
)
from visionfleet.model.importing.heads import head_of
from visionfleet.model.importing.libraries import timm_library
from visionfleet.model.state_dict import aligned, is_optional, misfit

_MOST_IN_HEAD = 24
# How many families are searched: those whose parts are named most alike.
_FAMILIES = 3
_LIKENESS = 0.5


def fitting(tensors: Mapping[str, Tensor]) -> list[Architecture]:
    """The torchvision architecture whose body fits the weights, if unique; else timm's."""
    ours = Architecture(DEFAULT_MODEL, "", EfficientNetLite0)
    likely = (ours, *_likely(torchvision_weights.families(), of_torchvision, tensors))
    found = next((one for one in likely if fits(one, tensors)), None)
    if found is not None:
        return [found]
    return [one for one in _likely(_timm_families(), of_timm, tensors) if fits(one, tensors)]


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
        return shapes_of(architecture)
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
    heads = head_names(architecture, shapes)
    return (
        _classes(given, shapes, heads) is not None
        or _place_of_head(given, shapes, heads) is not None
    )


def put_into(
    tensors: Mapping[str, Tensor], architecture: Architecture, where: object
) -> tuple[nn.Module, str]:
    """Create the network with these weights, and a note; raises BadModel with what does not fit."""
    shapes = shapes_of(architecture)
    heads = head_names(architecture, shapes)
    given = aligned(tensors, next(iter(shapes)))
    classes = _classes(given, shapes, heads)
    if classes is not None:
        network = architecture.build(classes)
        network.load_state_dict(given, strict=False)
        return network.eval(), ""
    place = _place_of_head(given, shapes, heads)
    if place is None:
        expected = {n: torch.empty(s, device="meta") for n, s in shapes.items() if n not in heads}
        told = misfit({n: v for n, v in given.items() if n not in heads}, expected)
        raise BadModel(f"{where}: does not fit {architecture}: {told or 'its head is another'}")
    own = {n.removeprefix(f"{place}."): v for n, v in given.items() if _below(n, place)}
    used = {name for name in given if name in shapes or _below(name, place)}
    own = own or _elsewhere(tensors, given, used)
    if not own:
        raise BadModel(
            f"{where}: fits {architecture} without its last layer, so it gives features and tells "
            "no classes apart: save the whole model's state dict"
        )
    head, note = head_of(own, where)
    network = architecture.build(1)
    network.set_submodule(place, head)
    body = {n: v for n, v in given.items() if not _below(n, place) and n in shapes}
    network.load_state_dict(body, strict=False)
    return network.eval(), note


def _elsewhere(
    tensors: Mapping[str, Tensor], given: Mapping[str, Tensor], used: set[str]
) -> dict[str, Tensor]:
    """Find a head outside the network, as in wrappers that contain both."""
    taken = {id(given[name]) for name in used}
    left = {n: v for n, v in tensors.items() if id(v) not in taken and not is_optional(n)}
    left = {n: v for n, v in left.items() if not n.startswith(("criterion", "loss")) and v.ndim}
    few = len(left) <= _MOST_IN_HEAD and any(v.ndim == 2 for v in left.values())
    return left if few and all(v.ndim <= 2 for v in left.values()) else {}


def _classes(given: Mapping[str, Tensor], shapes: Shapes, heads: frozenset[str]) -> int | None:
    """The number of classes; None unless the head is the network's own."""
    if any(name not in shapes and not is_optional(name) for name in given):
        return None
    found: set[int] = set()
    for name, shape in shapes.items():
        if name not in given:
            if not is_optional(name):
                return None
        elif name in heads and not name.lower().startswith("aux"):
            if given[name].shape[1:] != shape[1:]:
                return None
            found.add(given[name].shape[0])
        elif given[name].shape != shape and not is_optional(name):
            return None
    return found.pop() if len(found) == 1 else None


def _place_of_head(
    given: Mapping[str, Tensor], shapes: Shapes, heads: frozenset[str]
) -> str | None:
    """The part of the network that was replaced; None if there are several."""
    for place in _places(heads):
        body = [name for name in shapes if not _below(name, place) and not is_optional(name)]
        if all(name in given and given[name].shape == shapes[name] for name in body):
            others = [
                n for n in given if n not in shapes and not _below(n, place) and not is_optional(n)
            ]
            if len(others) <= _MOST_IN_HEAD and all(given[n].ndim <= 2 for n in others):
                return place
    return None


def _places(heads: frozenset[str]) -> Iterator[str]:
    """The part with the head, and its parents: fc; classifier.6, classifier."""
    parts = {name.rpartition(".")[0] for name in heads if not is_optional(name)}
    if len(parts) == 1:
        path = parts.pop()
        while path:
            yield path
            path = path.rpartition(".")[0]


def _below(name: str, place: str) -> bool:
    return name.startswith(f"{place}.")
