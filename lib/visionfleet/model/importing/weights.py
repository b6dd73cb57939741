"""Loads weights into their architecture, with a head for their number of classes."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.model.importing.heads import head_of
from visionfleet.model.state_dict import aligned, is_optional, misfit

if TYPE_CHECKING:
    from visionfleet.model.importing.architectures import Architecture

Shapes = Mapping[str, torch.Size]
_MOST_IN_HEAD = 24


def body_fits(given: Mapping[str, Tensor], shapes: Shapes, heads: frozenset[str]) -> bool:
    """Whether weights fit a network, ignoring its head."""
    return (
        _classes(given, shapes, heads) is not None
        or _place_of_head(given, shapes, heads) is not None
    )


def put_into(
    tensors: Mapping[str, Tensor],
    architecture: "Architecture",
    shapes: Shapes,
    heads: frozenset[str],
    where: object,
) -> tuple[nn.Module, str]:
    """Create the network with these weights, and a note; raises BadModel with what does not fit."""
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
