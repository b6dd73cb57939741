"""Folders of Hugging Face and timm, made here with weights that were never trained."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402

from tests.model.importing.conftest import Import  # noqa: E402
from visionfleet.errors import BadModel  # noqa: E402
from visionfleet.model.file_kinds import kind_of  # noqa: E402
from visionfleet.model.importing.folders import from_folder  # noqa: E402
from visionfleet.model.importing.found import Found, Wanted  # noqa: E402
from visionfleet.model.importing.processors import of_hugging_face  # noqa: E402

pytestmark = pytest.mark.needs_torch

NAMES = {0: "cat", 1: "dog", 2: "eel"}
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2} | {
    "intermediate_size": 16,
    "image_size": 32,
}
PROCESSOR = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3} | {
    "size": {"height": 32, "width": 32},
    "resample": 3,
}


def hugging_face(folder: Path, **changes: Any) -> Path:
    transformers.utils.logging.disable_progress_bar()
    config = transformers.ViTConfig(**SMALL, id2label=NAMES)
    network = transformers.ViTForImageClassification(config)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR | changes))
    return folder


def of_timm(folder: Path, **changes: Any) -> Path:
    network = timm.create_model("test_vit", num_classes=3)
    folder.mkdir(exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    told = {"input_size": [3, 160, 160], "crop_pct": 0.9, "mean": [0.1] * 3, "std": [0.2] * 3}
    config = {"architecture": "test_vit", "num_classes": 3, "pretrained_cfg": told}
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


def read(folder: Path) -> Found:
    return from_folder(folder, Wanted())


def test_folder_of_hugging_face_becomes_an_artefact(tmp_path: Path, bring: Import) -> None:
    made = bring(hugging_face(tmp_path / "pets"), labels=None)
    manifest = made.opened.manifest
    assert manifest.labels == ("cat", "dog", "eel")
    assert manifest.info.name == "pets"
    assert (manifest.preprocessing.crop, manifest.preprocessing.interpolation) == (32, "bicubic")
    assert manifest.preprocessing.mean == (0.5, 0.5, 0.5)
    assert all(one.same and one.difference < 0.05 for one in made.compared)


def test_workers_on_torch_need_no_transformers(
    tmp_path: Path, bring: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionfleet.model.openvino_library.version", lambda: None)
    made = bring(hugging_face(tmp_path / "pets"), labels=None)
    assert made.opened.manifest.chosen.runtime == "torch"
    assert kind_of(made.opened.file("source"), "its file") == "exported"
    assert all(one.same and one.difference < 0.05 for one in made.compared)


def test_folder_of_timm_has_labels_and_preprocessing(tmp_path: Path) -> None:
    names = {"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n1": "cat"}}
    found = read(of_timm(tmp_path, **names))
    assert found.model.labels == ("cat", "n2", "n3")
    assert (found.model.preprocessing.resize, found.model.preprocessing.crop) == (177, 160)
    assert found.model.preprocessing.mean == (0.1, 0.1, 0.1)


def test_weights_file_beside_its_configuration_is_the_folder(tmp_path: Path, bring: Import) -> None:
    folder = hugging_face(tmp_path / "pets")
    made = bring(folder / "model.safetensors", labels=None)
    assert made.opened.manifest.labels == ("cat", "dog", "eel")


def test_folder_in_the_cache_of_the_hub_is_found(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    hugging_face(tmp_path / "snapshots/0a1b")
    assert read(tmp_path).model.labels == ("cat", "dog", "eel")


def changed(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_folders_say_what_is_missing(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "pets")
    changed(folder, id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    assert not read(folder).model.labels
    changed(folder, num_labels=5, id2label={str(n): str(n) for n in range(5)})
    with pytest.raises(BadModel, match=r"holds no weights of a classifier .*classifier"):
        read(folder)
    changed(folder, model_type="bert")
    with pytest.raises(BadModel, match="a model of kind bert classifies no images"):
        read(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModel, match=r"no weights: model.safetensors or pytorch_model.bin"):
        read(folder)
    (folder / "config.json").write_text('{"a": 1}')
    with pytest.raises(BadModel, match=r"its config.json names no network"):
        read(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(BadModel, match=r"config.json: cannot be read"):
        read(folder)
    (folder / "config.json").unlink()
    with pytest.raises(BadModel, match=r"has no config.json and no file of a model"):
        read(folder)
    (folder / "model.onnx").touch()
    with pytest.raises(
        BadModel, match=r"no config.json, .*: visionfleet model import .*model.onnx"
    ):
        read(folder)


def test_unknown_architecture_of_timm_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="names 'vit_new', which timm does not know"):
        read(of_timm(tmp_path, architecture="vit_new"))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"size": 224, "do_resize": True}, (224, 224)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224}, (256, 224)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, (256, 224)),
        ({"size": {"shortest_edge": 384}, "crop_pct": None}, (384, 384)),
        ({"size": [300, 300], "crop_size": {"height": 280, "width": 280}}, (300, 300)),
    ],
)
def test_sizes_of_image_processors_are_read(told: Any, expected: tuple[int, int]) -> None:
    how = of_hugging_face(told, 224).preprocessing
    assert (how.resize, how.crop) == expected


def test_scales_of_image_processors_are_brought_to_ours() -> None:
    """EfficientNet's of Hugging Face: pixels / 127.5 - 1, less the mean, by the deviation."""
    told = {"rescale_factor": 1 / 127.5, "rescale_offset": True, "image_mean": [0.5, 0, 0]}
    how = of_hugging_face(told | {"image_std": [0.5, 1, 1]}, 224).preprocessing
    pixel = 200
    ours = (pixel / 255 - how.mean[0]) / how.std[0]
    assert ours == pytest.approx((pixel / 127.5 - 1 - 0.5) / 0.5)
    plain = of_hugging_face({"do_normalize": False, "do_flip_channel_order": True}, 224)
    assert (plain.preprocessing.mean, plain.bgr) == ((0, 0, 0), True)
