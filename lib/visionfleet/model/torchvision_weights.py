"""torchvision's architectures and published weights; imported only on demand."""

import hashlib
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import torch
from torch import nn

from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model.loaded import Loaded, info
from visionfleet.model.published_names import unknown
from visionfleet.model.source import Source
from visionfleet.model.state_dict import fit, load_tensors


def build(architecture: str, classes: int, setting: str) -> nn.Module:
    _check_known(architecture, setting)
    network: nn.Module = _models().get_model(architecture, weights=None, num_classes=classes)
    return network


def load_published(name: str, directory: Path, downloads: Path | None) -> Loaded:
    models = _models()
    _check_known(name, "model.name")
    weights = models.get_model_weights(name).DEFAULT
    path = _find_weights(weights.url, directory, downloads)
    data = Source().read(str(path), "the weights")
    _check_name(path, data)
    module = models.get_model(name, weights=None)
    fit(module, load_tensors(data, path), path, name)
    labels, about = tuple(weights.meta["categories"]), info(name, data)
    how = _preset(weights)
    return Loaded(module.eval(), labels, how, about, source=data, architecture=name)


def _preset(weights: Any) -> Preprocessing:
    preset = weights.transforms()
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def preprocessing_of(name: str, data: bytes) -> Preprocessing:
    """That of the published weights in a file, else of the architecture's latest."""
    return _preset(_published(name, data) or _models().get_model_weights(name).DEFAULT)


def published_labels(name: str, data: bytes) -> tuple[str, ...] | None:
    """The labels of the published weights in a file; None for other files."""
    weights = _published(name, data)
    return None if weights is None else tuple(weights.meta["categories"])


def _published(name: str, data: bytes) -> Any:
    if name not in known():
        return None
    digest = hashlib.sha256(data).hexdigest()
    every = _models().get_model_weights(name)
    return next((one for one in every if digest.startswith(_digest_in(one.url))), None)


def _digest_in(file: str) -> str:
    """Published files are named by the start of their SHA-256: resnet18-f37072fd.pth."""
    return Path(file).stem.rsplit("-", 1)[-1]


def _models() -> Any:
    with _dynamo_deferred():
        return importlib.import_module("torchvision.models")


class _Deferred(ModuleType):
    """A stand-in for a module that is imported when a function is called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(importlib.import_module(self.__name__), name)(
            *args, **kwargs
        )


@contextmanager
def _dynamo_deferred() -> Iterator[None]:
    """Keep torchvision from importing torch's compiler, which only detection models use."""
    names = [n for n in ("torch._dynamo", "torch._dynamo.utils") if n not in sys.modules]
    stand_ins = {name: _Deferred(name) for name in names} if len(names) == 2 else {}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def known() -> Sequence[str]:
    models = _models()
    names: list[str] = models.list_models(module=models)
    return names


def families() -> Mapping[str, Sequence[str]]:
    models, found = _models(), defaultdict(list)
    for name in known():
        found[models.get_model_builder(name).__module__].append(name)
    return found


def _check_known(name: str, setting: str) -> None:
    if name not in (names := known()):
        raise BadModel(f"{setting}: {name!r} is {unknown(name, set(names))}")


def _find_weights(url: str, directory: Path, downloads: Path | None) -> Path:
    file = url.rsplit("/", 1)[-1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for folder in (directory, downloads, cache):
        if folder is not None and (folder / file).is_file():
            return folder / file
    try:
        into = _writable(downloads) or _writable(cache) or cache
        torch.hub.download_url_to_file(url, str(into / file), progress=False)
    except (URLError, OSError) as error:
        raise BadModel(
            f"the weights {file} are not here and cannot be downloaded ({error}); "
            f"fetch {url} on a machine that can, and place it at {directory / file}"
        ) from error
    return into / file


def _writable(folder: Path | None) -> Path | None:
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def _check_name(path: Path, data: bytes) -> None:
    expected = _digest_in(path.name)
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(expected):
        raise BadModel(f"{path}: damaged: its SHA-256 starts with {digest[:8]}, not {expected}")
