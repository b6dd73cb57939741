"""A model file of the user's, of every kind, and what is refused."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from testkit.images.leaves import pictures
from testkit.images.model_files import (
    LABELS,
    any_batch,
    at_work,
    choice,
    colours,
    digest,
    exported,
    saved,
    torchscript,
)
from visionfleet.config.classifier import Precision
from visionfleet.errors import BadModel
from visionfleet.model import default_model
from visionfleet.model.loading import load
from visionfleet.model.state_dict import load_tensors

pytestmark = pytest.mark.needs_torch
PLAIN: Precision = "float32"


@pytest.mark.parametrize("make", [torchscript, any_batch])
def test_self_contained_files_answer_in_batches(tmp_path: Path, make: Callable[[], bytes]) -> None:
    data = make()
    model = at_work(load(choice(tmp_path, data)), 4, 1)
    assert colours(model) == LABELS
    assert model.info.name == "mine"
    assert model.info.fingerprint != digest(data)[:16], "it stands for labels and pixels, too"


def test_fixed_batch_exported_program_is_reported(tmp_path: Path) -> None:
    found = load(choice(tmp_path, exported()))
    with pytest.raises(BadModel, match=r"first forward pass failed: .*size\(\)\[0\] == 2"):
        at_work(found, 4, 1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_exported_program_runs_in_each_precision(
    tmp_path: Path, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionfleet.model.choice.AGREEMENT_FLOOR", 0.5)
    model = at_work(load(choice(tmp_path, any_batch())), 4, 1, precision)
    assert model.precision.precision == precision
    assert colours(model) == LABELS


def cut(classes: int) -> dict[str, torch.Tensor]:
    """The weights of the default model as they are published, for its first classes alone."""
    weights = dict(load_tensors(default_model.weights().read_bytes(), ""))
    head = {name: weights[name][:classes].clone() for name in ("_fc.weight", "_fc.bias")}
    return weights | head


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {"epoch": 3, "state_dict": weights},
        lambda weights: {f"module.{name}": value for name, value in weights.items()},
        lambda weights: {n: v.half() if v.is_floating_point() else v for n, v in weights.items()},
    ],
    ids=["bare", "in a checkpoint", "of DataParallel", "in half precision"],
)
@pytest.mark.parametrize("old", [False, True], ids=["zip", "before zip"])
def test_state_dict_of_our_network_is_served(
    tmp_path: Path, wrap: Callable[[Any], Any], old: bool
) -> None:
    data = saved(wrap(cut(3)), old)
    model = at_work(load(choice(tmp_path, data, architecture="efficientnet_lite0")), 2, 1, PLAIN)
    pixels = next(pictures(32))
    mean = torch.tensor(model.preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(model.preprocessing.std).view(3, 1, 1)
    image = ((torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std).unsqueeze(0)
    with torch.inference_mode():
        scores = default_model.load_default().module(image)[0, :3]
    assert np.ptp(scores.numpy()) > 0.2, "they tell one class from another"
    found = {ranked.label: ranked.score for ranked in model.rank([pixels], 3)[0]}
    expected = torch.softmax(scores, dim=0).tolist()
    assert [found[label] for label in LABELS] == pytest.approx(expected, abs=0.01)


def test_torchvision_state_dict_takes_classes_from_labels(tmp_path: Path) -> None:
    from visionfleet.model.torchvision_weights import build as build_published

    weights = build_published("mobilenet_v3_small", 3, "").state_dict()
    found = load(choice(tmp_path, saved(weights), architecture="mobilenet_v3_small"))
    model = at_work(found, 2, 1, PLAIN)
    assert len(model.rank([np.zeros((32, 32, 3), np.uint8)], 5)[0]) == 3


def test_misfitting_weights_name_the_first_misfit(tmp_path: Path) -> None:
    weights = saved(cut(4))
    with pytest.raises(BadModel, match=r"efficientnet_lite0 with 3 labels: .*classify.weight"):
        load(choice(tmp_path, weights, architecture="efficientnet_lite0"))
    with pytest.raises(BadModel, match="does not fit resnet18 with 3 labels: Missing key"):
        load(choice(tmp_path, weights, architecture="resnet18"))


def test_bare_weights_need_a_known_architecture(tmp_path: Path) -> None:
    weights = saved(cut(3))
    with pytest.raises(BadModel, match=r"model.architecture: 'resnet81' is neither .*resnet18"):
        load(choice(tmp_path, weights, architecture="resnet81"))
    with pytest.raises(BadModel, match="holds weights only; name their network"):
        load(choice(tmp_path, weights))
    with pytest.raises(BadModel, match="brings its network with it"):
        load(choice(tmp_path, torchscript(), architecture="resnet18"))


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before zip"])
@pytest.mark.parametrize("architecture", [None, "resnet18"])
def test_pickle_with_code_is_refused(tmp_path: Path, old: bool, architecture: str | None) -> None:
    trap = tmp_path / "trap"
    for value in ({"weight": Trap(trap)}, Trap(trap)):
        data = saved(value, old)
        with pytest.raises(BadModel, match=r"holds Python objects \(posix.mkdir\)"):
            load(choice(tmp_path, data, architecture=architecture))
    assert not trap.exists()


def test_whole_pickled_model_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"torch.save\(model.state_dict\(\), FILE\)"):
        load(choice(tmp_path, saved(nn.Sequential(nn.Linear(2, 2)))))


def test_bare_pickle_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for data in (pickle.dumps(Trap(trap)), b"\x80\x02garbage"):
        with pytest.raises(BadModel, match=r"is a Python pickle, and code .* is never run"):
            load(choice(tmp_path, data))
    assert not trap.exists()


def changed(data: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """Rewrite the members of an archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"torch.ops.aten.mean.dim"', '"torch.os.system"'),
        ('"torch.ops.aten.mean.dim"', '"torch.ops.load_library"'),
        ('"torch.ops.aten.mean.dim"', '"_operator.methodcaller"'),
        ('"torch.ops.aten.mean.dim"', '"torch.ops.aten.__class__.x"'),
        ('"expr_str":"', '"expr_str":"__import__(\'os\').getpid()+'),
        ('"path_name":"weight_0"', '"path_name":"custom_obj_0"'),
    ],
)
def test_exported_program_with_code_is_refused(tmp_path: Path, old: str, new: str) -> None:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith(".json"):
            return content
        tight = json.dumps(json.loads(content), separators=(",", ":"))
        return tight.replace(old, new).encode()

    data = any_batch()
    bad = changed(data, change)
    assert at_work(load(choice(tmp_path, changed(data, lambda _, c: c))), 2, 1, PLAIN)
    with pytest.raises(BadModel, match="not known to be safe"):
        load(choice(tmp_path, bad))


def test_pickle_inside_an_exported_program_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    evil = saved({"x": Trap(trap)})
    data = changed(any_batch(), lambda name, c: evil if name.endswith("model.pt") else c)
    with pytest.raises(BadModel, match="cannot be loaded"):
        load(choice(tmp_path, data))
    assert not trap.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_compiled_model_code_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/aotinductor/model/model.so", b"")
    with pytest.raises(BadModel, match="machine code compiled for one processor"):
        load(choice(tmp_path, buffer.getvalue()))
