"""Reads tensors from safetensors and `torch.save` files, leaving out other objects."""

import io
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from visionfleet.errors import BadModel
from visionfleet.model.file_kinds import kind_of

_GLOBAL = re.compile(r"(?:GLOBAL|global) ([\w.]+)")
_DEEPEST = 4
# Prefixes by wrappers: DataParallel, torch.compile, FSDP.
_WRAPPING = {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module"} | {
    "_checkpoint_wrapped_module"
}
# Counters beside the weights: of batch norms, weight averaging, and profilers.
_COUNTERS = {"num_batches_tracked", "n_averaged", "total_ops", "total_params"}


class _LeftOut:
    """A placeholder for NumPy objects in a file."""

    def __new__(cls, *_args: object, **_kwargs: object) -> "_LeftOut":
        return super().__new__(cls)

    def __init__(self, *_args: object, **_kwargs: object) -> None: ...

    def __setstate__(self, _state: object) -> None: ...


class _Emptied:
    """A placeholder for objects of other classes, which may be dicts."""

    def __new__(cls, *_args: object, **_kwargs: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


def load_tensors(data: bytes, where: object) -> Mapping[str, Any]:
    """Load tensors, numbers and text in dicts and lists; never code."""
    if kind_of(data, where) == "safetensors":
        return load_safetensors(data)
    try:
        loaded = _load(data)
    except Exception as error:  # torch raises many kinds for a damaged file
        # Training checkpoints also contain arguments and settings, often as objects.
        loaded = _load_without_objects(data)
        if not isinstance(loaded, Mapping) or not list(_state_dicts(loaded)):
            raise BadModel(f"{where}: cannot be loaded: {_reason(error)}") from error
    if not isinstance(loaded, Mapping):
        raise BadModel(
            f"{where}: holds a {type(loaded).__name__}, not a state dict: "
            "torch.save(model.state_dict(), FILE)"
        )
    return loaded


def _load(data: bytes) -> object:
    with warnings.catch_warnings(action="ignore"):  # for old files that torch still supports
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _load_without_objects(data: bytes) -> object:
    """Load with inert placeholders for objects; None if that fails, too."""
    try:
        names = get_unsafe_globals_in_checkpoint(io.BytesIO(data))
        inert = [(_LeftOut if n.startswith("numpy.") else _Emptied, n) for n in names]
        with safe_globals(inert):  # type: ignore[arg-type]
            return _load(data)
    except Exception:  # the first error is reported
        return None


def state_dict_of(saved: Mapping[str, Any], where: object) -> dict[str, Tensor]:
    """Find the weights in a checkpoint under any key, preferring averaged ones.

    Strips prefixes by wrappers.
    """
    found = list(_state_dicts(saved))
    if not found:
        if {"state", "param_groups"} <= set(saved):
            raise BadModel(
                f"{where}: holds the state of an optimizer, and no weights; "
                "save them: torch.save(model.state_dict(), FILE)"
            )
        raise BadModel(f"{where}: holds no state dict: no tensors by name in it")
    most = max(len(tensors) for _, tensors in found)
    whole = [(path, tensors) for path, tensors in found if 2 * len(tensors) >= most]
    averaged = [tensors for path, tensors in whole if any("ema" in p.lower() for p in path)]
    tensors = averaged[0] if averaged else max((t for _, t in whole), key=len)
    return {
        _unwrapped(name): value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
    }


def _state_dicts(
    saved: Mapping[Any, Any], path: Sequence[str] = ()
) -> Iterator[tuple[Sequence[str], dict[str, Tensor]]]:
    if {"state", "param_groups"} <= set(saved) or len(path) > _DEEPEST:
        return
    tensors = {n: v for n, v in saved.items() if isinstance(v, Tensor) and isinstance(n, str)}
    if any(value.ndim for value in tensors.values()):
        yield path, tensors
    for name, below in saved.items():
        if isinstance(below, Mapping) and "optim" not in str(name):
            yield from _state_dicts(below, (*path, str(name)))


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPING)


def aligned(tensors: Mapping[str, Tensor], first: str) -> dict[str, Tensor]:
    """Strip the common prefix of a network, of which `first` is a part.

    Other entries belong to the training: a loss, a metric.
    """
    ends = [name for name in tensors if name == first or name.endswith(f".{first}")]
    if not ends or first in ends:
        return {n: v for n, v in tensors.items() if n.rpartition(".")[2] not in _COUNTERS}
    before = min((n.removesuffix(first) for n in ends), key=lambda n: ("ema" not in n, len(n)))
    return {n.removeprefix(before): v for n, v in tensors.items() if n.startswith(before)}


def fit(module: nn.Module, tensors: Mapping[str, Tensor], where: object, what: str) -> nn.Module:
    """Load weights into a network; raises BadModel with the first mismatch."""
    expected = module.state_dict()
    given = aligned(tensors, next(iter(expected)))
    if found := misfit(given, expected):
        raise BadModel(f"{where}: does not fit {what}: {found}")
    with torch.no_grad():
        module.load_state_dict(given, strict=False)
    return module


def misfit(given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Why weights do not fit; empty if they do. Auxiliary heads may be missing."""
    missing, unknown = (
        [n for n in one if n not in other and not is_optional(n)]
        for one, other in ((expected, given), (given, expected))
    )
    if missing:
        return f"Missing key(s): {_first_of(missing)}" + (
            f"; unexpected: {_first_of(unknown)}" if unknown else ""
        )
    if unknown:
        return f"Unexpected key(s): {_first_of(unknown)}"
    for name, value in expected.items():
        if name in given and given[name].shape != value.shape:
            theirs, ours = tuple(given[name].shape), tuple(value.shape)
            if theirs[1:] == ours[1:]:
                return f"{name} is for {theirs[0]}, not {ours[0]}"
            return f"{name} is {theirs}, not {ours}"
    return ""


def _first_of(names: Sequence[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def is_optional(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS or name.lower().startswith("aux")


def first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _reason(error: Exception) -> str:
    if match := _GLOBAL.search(str(error)):
        return (
            f"it holds Python objects ({match[1]}), and code from a file is never run; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        )
    return first_line(error)
