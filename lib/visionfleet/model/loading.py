"""Finds and loads a model: the default, a torchvision architecture, or a file of the user's.

Nothing is ever unpickled: state dicts load with `weights_only`, and a file of the user's is
TorchScript with a SHA-256 that must match what is loaded.
"""

import difflib
import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import nn

from visionfleet.config.schema import Model as Choice
from visionfleet.errors import BadModel
from visionfleet.messages import ModelInfo
from visionfleet.model.network import build
from visionfleet.preprocessing import Preprocessing

DEFAULT_FILE = "cifar10.pt"
DEFAULT_FORMAT = "visionfleet-checkpoint/1"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready for inference: float32 on the CPU, in evaluation mode."""

    module: nn.Module
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    info: ModelInfo


def load(choice: Choice) -> Loaded:
    """Load the model of the configuration; raises BadModel with what to do about it."""
    if choice.path is not None:
        return _load_file(choice, choice.path)
    if choice.name == "default":
        return _load_default(choice.directory / DEFAULT_FILE)
    return _load_torchvision(choice.name, choice.directory)


def _load_default(path: Path) -> Loaded:
    data = _read(path, "the default model; set model.directory to the folder it is in")
    saved = _load_tensors(data, path)
    if saved.get("format") != DEFAULT_FORMAT:
        raise BadModel(f"{path}: not a checkpoint of the format {DEFAULT_FORMAT}")
    labels = tuple(saved["labels"])
    module = build(saved["architecture"], saved["options"], len(labels))
    module.load_state_dict({name: t.float() for name, t in saved["state_dict"].items()})
    how = saved["preprocessing"]
    preprocessing = Preprocessing(
        how["resize"], how["crop"], tuple(how["mean"]), tuple(how["std"]), how["interpolation"]
    )
    return Loaded(module.eval(), labels, preprocessing, _info(saved["name"], data))


def _load_torchvision(name: str, directory: Path) -> Loaded:
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise BadModel(f"model.name: {name!r} is neither `default` nor known to torchvision{hint}")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    path = _find_weights(weights.url, directory)
    data = _read(path, "the weights")
    _check_name(path, data)
    module = torchvision.models.get_model(name, weights=None)
    module.load_state_dict(_load_tensors(data, path))
    labels = tuple(weights.meta["categories"])
    return Loaded(module.eval(), labels, _of_preset(weights.transforms()), _info(name, data))


def _find_weights(url: str, directory: Path) -> Path:
    """Take weights placed by hand, then those downloaded before, then download them."""
    file = url.rsplit("/", 1)[-1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for folder in (directory, cache):
        if (folder / file).is_file():
            return folder / file
    try:
        cache.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cache / file), progress=False)
    except (URLError, OSError) as error:
        raise BadModel(
            f"the weights {file} are not here and cannot be downloaded ({error}); "
            f"fetch {url} on a machine that can, and place it at {directory / file}"
        ) from error
    return cache / file


def _check_name(path: Path, data: bytes) -> None:
    """Published weights carry the start of their SHA-256: resnet18-f37072fd.pth."""
    expected = path.stem.rsplit("-", 1)[-1]
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(expected):
        raise BadModel(f"{path}: damaged: its SHA-256 starts with {digest[:8]}, not {expected}")


def _of_preset(preset: Any) -> Preprocessing:
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def _load_file(choice: Choice, path: Path) -> Loaded:
    data = _read(path, "model.path")
    digest = hashlib.sha256(data).hexdigest()
    if digest != choice.sha256:
        raise BadModel(f"{path}: its SHA-256 is {digest}, model.sha256 says {choice.sha256}")
    labels = _read_labels(choice.labels)
    module = _load_torchscript(data, path)
    preprocessing = Preprocessing(choice.resize, choice.crop, choice.mean, choice.std)
    return Loaded(module.eval(), labels, preprocessing, _info(choice.name, data))


def _load_torchscript(data: bytes, path: Path) -> nn.Module:
    with warnings.catch_warnings():
        # torch advises newer formats; the files that people have are still TorchScript.
        warnings.simplefilter("ignore")
        try:
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(data), map_location="cpu"
            )
        except (RuntimeError, ValueError) as error:
            first = _first_line(error)
            raise BadModel(f"{path}: not a TorchScript file: {first}") from error
    return module


def _read_labels(path: Path | None) -> tuple[str, ...]:
    if path is None:
        raise BadModel("model.labels is required with model.path")
    text = _read(path, "model.labels").decode()
    if path.suffix == ".json":
        return tuple(map(str, json.loads(text)))
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _load_tensors(data: bytes, path: Path) -> Mapping[str, Any]:
    try:
        loaded: Mapping[str, Any] = torch.load(
            io.BytesIO(data), map_location="cpu", weights_only=True
        )
    except Exception as error:  # torch raises many kinds for a damaged file
        first = _first_line(error)
        raise BadModel(f"{path}: cannot be loaded: {first}") from error
    return loaded


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadModel(f"{path}: cannot be read: {error.strerror} ({what})") from error


def _first_line(error: Exception) -> str:
    """Shorten torch's errors, which bring pages of C++ or nothing at all."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def _info(name: str, data: bytes) -> ModelInfo:
    return ModelInfo(name=name, fingerprint=hashlib.sha256(data).hexdigest()[:16])
