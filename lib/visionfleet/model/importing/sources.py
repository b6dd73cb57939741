"""Finds a source: a folder, a file, or a name in torchvision, timm or the hub."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from visionfleet.config.classifier import DEFAULT_MODEL, ModelSection
from visionfleet.errors import BadModel
from visionfleet.model import default_model, torchvision_weights
from visionfleet.model.importing.architectures import unknown_name
from visionfleet.model.importing.files import from_file
from visionfleet.model.importing.folders import from_folder
from visionfleet.model.importing.found import Found, Tell, Wanted
from visionfleet.model.importing.libraries import from_hub, timm_library
from visionfleet.model.loaded import Loaded
from visionfleet.model.source import cache_folder

_HUB = re.compile(r"(?:hf-hub:|hf:|https?://huggingface\.co/)?([\w.-]+/[\w.-]+?)/?")
_PATH = re.compile(r"[./~].*|.*\.(?:pt|pth|pt2|onnx|safetensors|ckpt|bin|ts|tar|artefact)")
_FETCHED = {"s3:": "aws s3 cp {} .", "http:": "curl -LO {}", "https:": "curl -LO {}"}


def find(source: str, wanted: Wanted, tell: Tell) -> Found:
    """Find and load a source; raises BadModel with what to do."""
    path = Path(source).expanduser()
    if path.is_dir():
        return from_folder(path, wanted)
    try:
        if path.is_file():
            return from_file(path, wanted, tell)
    except OSError as error:
        raise BadModel(f"{path}: cannot be read: {error.strerror}") from error
    hub = _HUB.fullmatch(source)
    if hub is None or source.startswith(("/", ".", "~")):
        scheme = source.partition("//")[0]
        if scheme in _FETCHED:
            raise BadModel(f"{source}: fetch it first: {_FETCHED[scheme].format(source)}")
        if _PATH.fullmatch(source):
            raise BadModel(f"{source}: no such file or folder")
    if hub is not None and not _PATH.fullmatch(source):
        return from_folder(from_hub(hub[1]), wanted)
    return _by_name(source, wanted)


def _by_name(source: str, wanted: Wanted) -> Found:
    library, _, name = source.rpartition(":")
    if name in {"default", DEFAULT_MODEL}:
        return _found(default_model.load_default, "the default model", wanted)
    if library in {"", "torchvision"} and name in torchvision_weights.known():
        folder, kept = ModelSection().directory, cache_folder(os.environ)
        load = torchvision_weights.load_published
        return _found(lambda: load(name, folder, kept), f"{name} of torchvision", wanted)
    if library in {"", "timm"} and (timm := timm_library(required=library == "timm")) is not None:
        bare = name.partition(".")[0]
        if timm.is_model(bare):
            return _of_timm(timm.get_pretrained_cfg(name), name, wanted)
    raise BadModel(f"{source}: no file or folder, and as a name it is {unknown_name(name)}")


def _of_timm(told: object, name: str, wanted: Wanted) -> Found:
    repository = getattr(told, "hf_hub_id", None)
    if not repository:
        raise BadModel(f"{name}: timm has this architecture, and no weights of it; import a file")
    if repository.endswith("/"):
        tag = getattr(told, "tag", "")
        repository += f"{name.partition('.')[0]}.{tag}" if tag else name
    return from_folder(from_hub(repository), wanted)


def _found(load: Callable[[], Loaded], what: str, wanted: Wanted) -> Found:
    model = load()
    how = wanted.preprocessing(model.preprocessing)
    return Found(replace(model, preprocessing=how, architecture=None), what)
