"""Inspects a model file without a configuration: kind, input, labels and size."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from visionfleet.config.classifier import DEFAULT_MODEL
from visionfleet.errors import BadModel
from visionfleet.model import artefact, default_model
from visionfleet.model.artefact import Manifest
from visionfleet.model.efficientnet_lite import EfficientNetLite0, renamed
from visionfleet.model.exported_program import load_program
from visionfleet.model.file_kinds import kind_of
from visionfleet.model.loading import load_torchscript
from visionfleet.model.state_dict import load_tensors, state_dict_of
from visionfleet.model.torch_network import MODEL_ERRORS

_SIDES = (224, 32, 299, 64, 28)  # tried with a TorchScript file


@dataclass(frozen=True, slots=True)
class Inspection:
    """The properties of a file, None if unknown; packed quantized weights are no parameters."""

    kind: str
    bytes: int
    sha256: str
    parameters: int | None
    input: str | None = None
    scores: int | None = None
    labels: tuple[str, ...] | None = None
    architecture: str | None = None
    temperature: float | None = None
    unknown_below: float | None = None
    preprocessing: Mapping[str, Any] | None = None


def inspect(data: bytes, where: object) -> Inspection:
    """Inspect a file's content, and run TorchScript on blank images; raises BadModel."""
    kind = kind_of(data, where)
    if kind == "artefact":
        found = _of_artefact(artefact.decode(memoryview(data), str(where)).manifest)
    elif kind == "onnx":
        raise BadModel(f"{where}: is an ONNX file; visionfleet model import {where} tries it")
    elif kind in {"tensors", "safetensors"}:
        found = _of_tensors(load_tensors(data, where), where)
    elif kind == "exported":
        found = _of_program(load_program(data, where))
    else:
        found = _of_torchscript(load_torchscript(data, where).eval())
    digest = hashlib.sha256(data).hexdigest()
    if digest == default_model.SHA256:
        found |= _of_the_default_model()
    return Inspection(bytes=len(data), sha256=digest, **found)


def _of_the_default_model() -> dict[str, Any]:
    """Properties that belong to the default weights, but are in no file."""
    return {
        "kind": "weights of the default model",
        "input": _shape(default_model.PREPROCESSING.crop),
        "labels": default_model.labels(),
        "temperature": default_model.TEMPERATURE,
        "unknown_below": default_model.UNKNOWN_BELOW,
        "preprocessing": asdict(default_model.PREPROCESSING),
    }


def _of_artefact(manifest: Manifest) -> dict[str, Any]:
    how = manifest.preprocessing
    return {
        "kind": f"artefact of {manifest.info.name} on {manifest.chosen.runtime}",
        "parameters": None,
        "input": _shape(how.crop),
        "scores": len(manifest.labels),
        "labels": manifest.labels,
        "architecture": manifest.architecture,
        "temperature": manifest.temperature,
        "unknown_below": manifest.unknown_below,
        "preprocessing": asdict(how),
    }


def _of_tensors(saved: Mapping[str, Any], where: object) -> dict[str, Any]:
    weights = state_dict_of(saved, where)
    matrices = [value for value in weights.values() if value.ndim == 2]
    scores = int(matrices[-1].shape[0]) if matrices else None
    return {
        "kind": "state dict",
        # Batch norm counters and running means are not parameters.
        "parameters": _count(v for n, v in weights.items() if "running_" not in n and v.ndim),
        "scores": scores,
        "architecture": _own_network(weights, scores),
    }


def _own_network(weights: Mapping[str, Tensor], scores: int | None) -> str | None:
    if scores is None:
        return None
    ours = EfficientNetLite0(scores).state_dict()
    fits = {n: v.shape for n, v in renamed(weights).items()} == {
        n: v.shape for n, v in ours.items()
    }
    return DEFAULT_MODEL if fits else None


def _of_program(program: Any) -> dict[str, Any]:
    inputs = set(program.graph_signature.user_inputs)
    outputs = set(program.graph_signature.user_outputs)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    shape = next((values[name].shape for name in inputs if values.get(name) is not None), None)
    given = next((values[name].shape for name in outputs if values.get(name) is not None), None)
    return {
        "kind": "exported program",
        "parameters": _count(program.parameters()),
        "input": None
        if shape is None
        else " x ".join(str(side) if isinstance(side, int) else "N" for side in shape),
        "scores": int(given[-1]) if given and isinstance(given[-1], int) else None,
    }


def _of_torchscript(module: nn.Module) -> dict[str, Any]:
    side, scores = next(
        ((side, found) for side in _SIDES if (found := _answers(module, side))), (None, None)
    )
    return {
        "kind": "TorchScript",
        "parameters": _count(module.parameters()) or None,
        "input": None if side is None else _shape(side),
        "scores": scores,
    }


def _answers(module: nn.Module, side: int) -> int | None:
    try:
        with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
            given = module(torch.zeros(1, 3, side, side))
    except MODEL_ERRORS:
        return None
    fits = isinstance(given, Tensor) and given.ndim == 2 and given.shape[0] == 1
    return int(given.shape[1]) if fits else None


def _count(weights: Any) -> int:
    return sum(value.numel() for value in weights)


def _shape(side: int) -> str:
    return f"N x 3 x {side} x {side}"
