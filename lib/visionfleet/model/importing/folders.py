"""Reads folders with a `config.json`: of Hugging Face transformers, and of timm."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visionfleet.errors import BadModel
from visionfleet.model import default_model
from visionfleet.model.importing.answers import Scores
from visionfleet.model.importing.found import Found, Wanted, labels_by_index, model_of
from visionfleet.model.importing.libraries import timm_library, transformers_library, weights_file
from visionfleet.model.importing.processors import of_hugging_face, of_timm
from visionfleet.model.state_dict import first_line, fit, load_tensors, state_dict_of

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SHARDS = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_MODEL_FILES = {".pt", ".pth", ".pt2", ".ckpt", ".bin", ".safetensors", ".onnx", ".ts", ".tar"}
_UNNAMED = "LABEL_"
IN_PARTS = (
    "its weights are in several files, and no config.json beside them names the network: "
    "copy it there and name the folder, or save all weights in one file"
)


def from_folder(folder: Path, wanted: Wanted) -> Found:
    """Read a folder; raises BadModel with what is missing."""
    folder = _snapshot(folder)
    config = read_json(folder / "config.json")
    if config is None:
        raise BadModel(f"{folder}: {_without_configuration(folder)}")
    if "architecture" in config and "model_type" not in config:
        return _of_timm(folder, config, wanted)
    if "model_type" in config or "architectures" in config:
        return _of_transformers(folder, config, wanted)
    raise BadModel(
        f"{folder}: its config.json names no network, neither `architectures` as Hugging Face's "
        "nor `architecture` as timm's; name the file with the weights, and --architecture"
    )


def is_described(folder: Path) -> bool:
    """Whether a file in it is best read with its configuration."""
    config = read_json(folder / "config.json") or {}
    return bool({"architecture", "architectures", "model_type"} & set(config))


def read_json(path: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadModel(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise BadModel(f"{path}: holds no JSON object")
    return found


def _snapshot(folder: Path) -> Path:
    """The hub's cache has a folder per revision."""
    revisions = sorted(folder.glob("snapshots/*/config.json"), key=lambda p: p.stat().st_mtime)
    return revisions[-1].parent if revisions else folder


def _without_configuration(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "holds an adapter (LoRA) alone: merge it into its model and save that"
    if (folder / "saved_model.pb").is_file():
        return "is a SavedModel of TensorFlow: save it as ONNX (tf2onnx) and import that"
    if any((folder / name).is_file() for name in _SHARDS):
        return IN_PARTS
    files = sorted(p.name for p in folder.iterdir() if p.suffix in _MODEL_FILES and p.is_file())
    if not files:
        return "has no config.json and no file of a model in it: name a folder or a file with one"
    return (
        "has no config.json, which would name its network; copy it there too, or name a file: "
        f"visionfleet model import {folder / files[0]}"
    )


def _of_timm(folder: Path, config: Mapping[str, Any], wanted: Wanted) -> Found:
    timm, name = timm_library(required=True), str(config["architecture"])
    if not timm.is_model(name):
        raise BadModel(f"{folder}: its config.json names {name!r}, which timm does not know")
    told = dict(config.get("pretrained_cfg") or {})
    arguments = dict(config.get("model_args") or {})
    classes = config.get("num_classes", told.get("num_classes", 1000))
    channels = arguments.get("in_chans", (told.get("input_size") or [3])[0])
    if classes == 0 or channels != 3:
        lacks = (
            "gives features and tells no classes apart"
            if classes == 0
            else (f"takes images of {channels} channels, not three")
        )
        raise BadModel(f"{folder}: by its config.json it {lacks}; import one that does")
    network = timm.create_model(name, num_classes=classes, **arguments)
    file = weights_file(folder, _WEIGHTS)
    data = file.read_bytes()
    fit(network, state_dict_of(load_tensors(data, file), file), file, f"{name} of timm")
    read = of_timm(timm.data.resolve_data_config({}, pretrained_cfg=told, model=network))
    labels, how = _timm_labels(timm, config, classes), wanted.preprocessing(read.preprocessing)
    model = model_of(network.eval(), name, data, how, labels)
    return Found(model, f"{name} of timm, in {folder}", read.notes)


def _timm_labels(timm: Any, config: Mapping[str, Any], classes: int) -> tuple[str, ...] | None:
    names = config.get("label_names")
    if isinstance(names, list):
        words = config.get("label_descriptions") or {}
        return tuple(str(words.get(name, name)) for name in names)
    if classes == len(default_model.labels()):
        return default_model.labels()
    subset = timm.data.infer_imagenet_subset(config)
    if subset is None:
        return None
    words = timm.data.ImageNetInfo(subset)
    return tuple(words.index_to_description(index) for index in range(classes))


def _of_transformers(folder: Path, config: Mapping[str, Any], wanted: Wanted) -> Found:
    library = transformers_library()
    if not any((folder / name).is_file() for name in _SHARDS):
        weights_file(folder, _WEIGHTS)
    network = _network(library, folder, config)
    side = config.get("image_size") or 224
    side = side[0] if isinstance(side, list) else side
    read = of_hugging_face(read_json(folder / "preprocessor_config.json"), int(side))
    data = b"".join(
        p.read_bytes() for p in sorted([*folder.glob("*.safetensors"), *folder.glob("*model*.bin")])
    )
    scores = Scores(network, "logits", bgr=read.bgr).eval()
    how = wanted.preprocessing(read.preprocessing)
    model = model_of(scores, folder.name, data, how, _named(config))
    return Found(model, f"{type(network).__name__} of Hugging Face, in {folder}", read.notes)


def _network(library: Any, folder: Path, config: Mapping[str, Any]) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            network, told = library.AutoModelForImageClassification.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises many kinds for unreadable folders
        kind = config.get("model_type") or config.get("architectures")
        if "auto_map" in config:
            raise BadModel(
                f"{folder}: needs code of its own, which is never run: export it to ONNX"
            ) from error
        if "Unrecognized" in str(error) or "not recognize" in str(error):
            raise BadModel(f"{folder}: a model of kind {kind} classifies no images") from error
        raise BadModel(f"{folder}: cannot be loaded: {first_line(error)}") from error
    misfits = told["mismatched_keys"] or ()
    missing = [*(told["missing_keys"] or ()), *(k if isinstance(k, str) else k[0] for k in misfits)]
    if missing:
        raise BadModel(
            f"{folder}: holds no weights of a classifier for images ({min(missing)} is missing); "
            "import one that was fine-tuned to tell classes apart"
        )
    return network


def _named(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = labels_by_index(config.get("id2label"))
    return None if labels is None or labels[0].startswith(_UNNAMED) else labels
