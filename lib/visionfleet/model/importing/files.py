"""Reads a model's file: weights alone, or a complete network."""

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model import default_model, torchvision_weights
from visionfleet.model.efficientnet_lite import FIRST_KEY, renamed
from visionfleet.model.exported_program import load_program
from visionfleet.model.file_kinds import kind_of
from visionfleet.model.importing.architectures import Architecture, by_name, named_in
from visionfleet.model.importing.folders import IN_PARTS, from_folder, is_described
from visionfleet.model.importing.found import Found, Tell, Wanted, labels_by_index, model_of, usual
from visionfleet.model.importing.libraries import timm_library
from visionfleet.model.importing.processors import of_timm
from visionfleet.model.importing.weights import fits, fitting, put_into
from visionfleet.model.loading import load_torchscript
from visionfleet.model.onnx_network import OnnxNetwork
from visionfleet.model.state_dict import aligned, load_tensors, state_dict_of
from visionfleet.model.teaching.taught_file import card_of
from visionfleet.model.torch_network import MODEL_ERRORS

_SIDES = (224, 32, 299, 64, 28, 384, 96, 128, 256)
_ASSUMED = (
    "its preprocessing is not known: ImageNet's usual was taken (--resize --crop --mean --std)"
)
_NAMES = ("class_names", "classes", "labels", "names", "idx_to_class", "class_to_idx", "id2label")
_SCRIPT = "torch.jit.script(model.eval()).save(FILE)"
_MOST_NAMED = 6
_PART = re.compile(r"-\d{5}-of-\d{5}$")
_SAME = 1e-3


def from_file(path: Path, wanted: Wanted, tell: Tell) -> Found:
    """Read a file of any kind; raises BadModel with what to do."""
    data = path.read_bytes()
    kind = kind_of(data, path)
    if kind in {"tensors", "safetensors"}:
        if wanted.architecture is None and is_described(path.parent):
            return from_folder(path.parent, wanted)
        if _PART.search(path.stem):
            raise BadModel(f"{path}: {IN_PARTS}")
        return _of_weights(path, data, wanted, tell)
    if wanted.architecture is not None:
        raise BadModel(f"{path}: brings its network with it; leave --architecture out")
    if kind == "onnx":
        return _of_onnx(path, data, wanted)
    if kind == "exported":
        module = load_program(data, path).module()
        how = usual(_side_of_program(module, path) or 224)
    else:
        module, kind = load_torchscript(data, path).eval(), "torchscript"
        how = usual(wanted.crop or _side_of(module))
    what = "an exported program" if kind == "exported" else "TorchScript"
    model = model_of(module, path.stem, data, wanted.preprocessing(how), kind=kind)
    return Found(model, what, _assumed(wanted))


def _assumed(wanted: Wanted) -> tuple[str, ...]:
    said = wanted.mean is not None and (wanted.crop or wanted.resize) is not None
    return () if said else (_ASSUMED,)


def _of_onnx(path: Path, data: bytes, wanted: Wanted) -> Found:
    network = OnnxNetwork(path)
    if network.images > 1:
        raise BadModel(
            f"{path}: takes {network.images} images at a time and no other number: "
            "export it with a dynamic first axis"
        )
    how = wanted.preprocessing(usual(network.side or wanted.crop or 224))
    labels = _labels_in({name: _literal(text) for name, text in network.metadata.items()})
    return Found(model_of(network, path.stem, data, how, labels, "onnx"), "ONNX", _assumed(wanted))


def _literal(text: str) -> object:
    """Parse a Python literal, as {0: 'tench'}; other text stays text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _side_of(module: nn.Module) -> int:
    for side in _SIDES:
        try:
            with torch.inference_mode():
                module(torch.zeros(1, 3, side, side))
        except MODEL_ERRORS:
            continue
        return side
    return _SIDES[0]


def _side_of_program(module: Any, path: Path) -> int | None:
    for node in module.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and isinstance(value, Tensor) and value.ndim == 4:
            sides = [side if isinstance(side, int) else 0 for side in value.shape[1:]]
            square = len({side for side in sides if side not in (0, 1, 3)}) <= 1
            if not square or not value.is_floating_point():
                shape = " x ".join(str(side or "?") for side in sides)
                raise BadModel(
                    f"{path}: takes images of {shape} in {value.dtype}, not of 3 x side x side in "
                    "floating point: let it take those, and export it again"
                )
            return sides[1] or None
    return None


def _of_weights(path: Path, data: bytes, wanted: Wanted, tell: Tell) -> Found:
    saved = load_tensors(data, path)
    card = card_of(saved, path)  # of a taught model
    if card is not None:
        wanted = replace(
            wanted, architecture=card.architecture, labels=wanted.labels or card.labels
        )
    tensors = state_dict_of(saved, path)
    if any(name.endswith(FIRST_KEY) for name in tensors):  # the default model's published weights
        tensors = renamed(aligned(tensors, FIRST_KEY))
    network, architecture, note = _network(path, saved, tensors, wanted, tell)
    read, notes = _preprocessing(architecture, network, data)
    read = card.preprocessing if card else read
    labels = _labels_in(saved) or torchvision_weights.published_labels(architecture.name, data)
    model = model_of(network, path.stem.split(".")[0], data, wanted.preprocessing(read), labels)
    if card is not None:
        model = replace(model, temperature=card.temperature, unknown_below=card.unknown_below)
    return Found(model, f"weights of {architecture}", tuple(filter(None, (note, *notes))))


def _network(
    path: Path, saved: Mapping[str, Any], tensors: Mapping[str, Tensor], wanted: Wanted, tell: Tell
) -> tuple[nn.Module, Architecture, str]:
    if wanted.architecture is not None:
        chosen, also = by_name(wanted.architecture), ""
    else:
        chosen, also = _found(path, saved, tensors, tell)
    try:
        network, note = put_into(tensors, chosen, path)
    except BadModel as error:
        near = fitting(tensors) if wanted.architecture else []
        hint = f"; it fits {near[0].name}" if near and near[0] != chosen else ""
        raise BadModel(f"{error}{hint}") from error
    return network, chosen, "; ".join(filter(None, (note, also)))


def _found(
    path: Path, saved: Mapping[str, Any], tensors: Mapping[str, Tensor], tell: Tell
) -> tuple[Architecture, str]:
    hints = [
        path.stem,
        *(str(saved[n]) for n in ("arch", "architecture", "model_name") if n in saved),
    ]
    named = named_in(" ".join(hints))
    for one in named:
        if fits(one, tensors):
            return one, ""
    tell("looking for the architecture by the names and shapes of its parts ...")
    found = fitting(tensors)
    if not found:
        for one in named[:1]:
            put_into(tensors, one, path)  # tells what is not its
        raise BadModel(f"{path}: {_unknown(tensors)}")
    first, *others = (one.name for one in found[:_MOST_NAMED])
    if not others:
        return found[0], ""
    if not _answer_alike(found[:_MOST_NAMED], tensors, path):
        raise BadModel(
            f"{path}: its weights fit {len(found)} architectures whose answers differ "
            f"({', '.join([first, *others])}): say which, as --architecture {first}"
        )
    also = ", ".join(others)
    return found[0], f"fits {also} too, whose preprocessing may differ: say --architecture"


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    first = next(iter(tensors))
    if any(".encoder.layer" in name or ".embeddings." in name for name in tensors):
        return (
            "is of a model of Hugging Face; import its folder, with config.json beside the weights"
        )
    without = "" if timm_library(required=False) else " (timm, which knows more, is not installed)"
    return (
        f"fits no architecture of torchvision or timm{without}, by its {len(tensors)} parts from "
        f"{first} on: name one by --architecture, or save the network with its weights: {_SCRIPT}"
    )


def _answer_alike(found: list[Architecture], tensors: Mapping[str, Tensor], path: Path) -> bool:
    answers = []
    for one in found:
        network, _ = put_into(tensors, one, path)
        side = _preprocessing(one, network, b"")[0].crop
        with torch.inference_mode():
            answers.append(network(torch.linspace(-1, 1, 3 * side * side).view(1, 3, side, side)))
    first = answers[0]
    return all(a.shape == first.shape and torch.allclose(a, first, atol=_SAME) for a in answers)


def _preprocessing(
    architecture: Architecture, network: nn.Module, data: bytes
) -> tuple[Preprocessing, tuple[str, ...]]:
    if architecture.library == "timm":
        timm = timm_library(required=True)
        return of_timm(timm.data.resolve_data_config({}, model=network))[:2]
    if architecture.library == "torchvision":
        return torchvision_weights.preprocessing_of(architecture.name, data), ()
    return default_model.PREPROCESSING, ()


def _labels_in(saved: Mapping[str, Any]) -> tuple[str, ...] | None:
    places = [saved, *(v for v in saved.values() if isinstance(v, Mapping))]
    for place in places:
        for name in _NAMES:
            if labels := labels_by_index(place.get(name)):
                return labels
    return None
