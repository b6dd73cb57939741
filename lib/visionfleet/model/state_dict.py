"""Reads tensors from files of `torch.save`; whatever else is pickled in them is refused."""

import io
import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel

_GLOBAL = re.compile(r"(?:GLOBAL|global) ([\w.]+)")
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def load_tensors(data: bytes, where: object) -> Mapping[str, Any]:
    """Read what was saved: tensors, numbers and text in dicts and lists; never code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old files that torch still reads
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        raise BadModel(f"{where}: cannot be loaded: {_reason(error)}") from error
    if not isinstance(loaded, Mapping):
        raise BadModel(f"{where}: holds a {type(loaded).__name__}, not a state dict")
    return loaded


def state_dict_of(saved: Mapping[str, Any], where: object) -> dict[str, Tensor]:
    for name in _WRAPPERS:
        if isinstance(saved.get(name), Mapping):
            saved = saved[name]
    tensors = {name: value for name, value in saved.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadModel(f"{where}: holds no state dict: no tensors by name in it")
    return {
        name.removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def fit(module: nn.Module, tensors: Mapping[str, Tensor], where: object, what: str) -> nn.Module:
    """Put weights into a network; raises BadModel with the first thing that does not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        first = lines[1] if len(lines) > 1 else lines[0]
        raise BadModel(f"{where}: does not fit {what}: {first}") from error
    return module


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _reason(error: Exception) -> str:
    if match := _GLOBAL.search(str(error)):
        return (
            f"it holds Python objects ({match[1]}), and code from a file is never run; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        )
    return first_line(error)
