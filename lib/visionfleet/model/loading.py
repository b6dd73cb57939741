"""Loads a model: the default, a torchvision architecture, or the user's file.

Nothing is ever unpickled: tensors load with `weights_only`, and the SHA-256 of the user's file must
match. The kind of a file is recognized by its content, never its name.
"""

import io
import warnings
from dataclasses import replace

import torch
from torch import nn

from visionfleet.config.classifier import DEFAULT_MODEL, ModelSection
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Preprocessing
from visionfleet.model import default_model
from visionfleet.model.efficientnet_lite import FIRST_KEY, EfficientNetLite0, renamed
from visionfleet.model.exported_program import load_program
from visionfleet.model.file_kinds import kind_of
from visionfleet.model.loaded import Kind, Loaded, info
from visionfleet.model.source import Source, read_labels
from visionfleet.model.state_dict import (
    aligned,
    first_line,
    fit,
    load_tensors,
    state_dict_of,
)
from visionfleet.model.teaching.taught_file import card_of

_HERE = Source()
_IMPORT = "visionfleet model import {}"


def load(choice: ModelSection, source: Source = _HERE) -> Loaded:
    """Load the configured model; raises BadModel with what to do, TryLater for S3."""
    loaded = _load(choice, source)
    if choice.temperature is not None:
        loaded = replace(loaded, temperature=choice.temperature)
    if choice.unknown_below is not None:
        loaded = replace(loaded, unknown_below=choice.unknown_below)
    return loaded


def _load(choice: ModelSection, source: Source) -> Loaded:
    if choice.path is not None:
        return _load_file(choice, choice.path, source)
    if choice.name == DEFAULT_MODEL:
        return default_model.load_default()
    from visionfleet.model.torchvision_weights import load_published

    return load_published(choice.name, choice.directory, source.cache)


def _load_file(choice: ModelSection, path: str, source: Source) -> Loaded:
    if choice.sha256 is None:
        raise BadModel("model.sha256: is required with model.path: sha256sum FILE prints it")
    data = source.read_checked(path, "model.path", choice.sha256)
    card = card_of(load_tensors(data, path), path) if kind_of(data, path) == "tensors" else None
    if choice.labels is not None:
        labels = read_labels(source, choice.labels)
    elif card is not None:
        labels = card.labels
    else:
        raise BadModel(
            f"model.labels: is required with {path}: a file with one label a line; "
            "an artefact alone brings its own"
        )
    architecture = card.architecture if card else choice.architecture
    module, kind = load_module(data, path, architecture, len(labels))
    preprocessing = Preprocessing(choice.resize, choice.crop, choice.mean, choice.std)
    loaded = Loaded(
        module,
        labels,
        card.preprocessing if card else preprocessing,
        info(choice.name, data),
        kind,
        source=data,
        architecture=architecture,
    )
    if card is None:
        return loaded
    return replace(loaded, temperature=card.temperature, unknown_below=card.unknown_below)


def load_module(
    data: bytes, path: str, architecture: str | None, classes: int
) -> tuple[nn.Module, Kind]:
    """Load the network of a model file; raises BadModel."""
    kind = kind_of(data, path)
    if kind == "artefact":
        raise BadModel(
            f"{path}: is an artefact, which workers serve as it is; nothing is to be made"
        )
    if kind == "onnx":
        raise BadModel(f"{path}: is an ONNX file; make an artefact of it: {_IMPORT.format(path)}")
    if kind in {"tensors", "safetensors"}:
        saved = load_tensors(data, path)  # for pickled models, first say that code is never run
        if architecture is None:
            raise BadModel(
                f"{path}: holds weights only; name their network in model.architecture, "
                f"as resnet18, or have it found: {_IMPORT.format(path)}"
            )
        tensors = state_dict_of(saved, path)
        what = f"{architecture} with {classes} labels"
        if architecture == DEFAULT_MODEL:
            tensors = renamed(aligned(tensors, FIRST_KEY))
            return fit(EfficientNetLite0(classes), tensors, path, what).eval(), "module"
        from visionfleet.model import torchvision_weights

        network = torchvision_weights.build(architecture, classes, "model.architecture")
        return fit(network, tensors, path, what).eval(), "module"
    if architecture is not None:
        raise BadModel(f"{path}: brings its network with it; leave model.architecture out")
    if kind == "exported":
        return load_program(data, path).module(), "exported"
    return load_torchscript(data, path).eval(), "torchscript"


def load_torchscript(data: bytes, path: object) -> nn.Module:
    # torch warns of TorchScript, in which many existing files are.
    with warnings.catch_warnings(action="ignore"):
        try:
            module: nn.Module = torch.jit.load(  # type: ignore[no-untyped-call]
                io.BytesIO(data), map_location="cpu"
            )
        except (RuntimeError, ValueError) as error:
            raise BadModel(f"{path}: not a TorchScript file: {first_line(error)}") from error
    return module
