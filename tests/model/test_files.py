"""A model file of the user's, of every kind: from disk or S3, and what is refused."""

import hashlib
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visionfleet.config.classifier import ModelSection, Precision
from visionfleet.errors import BadModel, NotFound, TryLater
from visionfleet.model.architectures import build
from visionfleet.model.artifacts import Source, cache_folder
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch

LABELS = ["red", "green", "blue"]
PLAIN: Precision = "float32"


class Colours(nn.Module):
    """Answers with the strongest channel; a norm is in it, as in real networks."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.convolution.weight.data.copy_(torch.eye(3).view(3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.convolution(images)).mean(dim=(2, 3))


def torchscript() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Colours().eval()), buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def exported(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Colours().eval(), (torch.rand(2, 3, 32, 32),), **options)
        torch.export.save(program, buffer)
    return buffer.getvalue()


def saved(value: object, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def any_batch() -> bytes:
    return exported(dynamic_shapes={"images": {0: torch.export.Dim("images")}})


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def choice(folder: Path, data: bytes, **changes: Any) -> ModelSection:
    """Write a model and its labels, and the settings that name them."""
    (folder / "model.bin").write_bytes(data)
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    fields: dict[str, Any] = {
        "name": "mine",
        "path": str(folder / "model.bin"),
        "labels": str(folder / "labels.txt"),
        "sha256": digest(data),
        "resize": 32,
        "crop": 32,
    }
    return ModelSection(**(fields | changes))


def colours(model: Inference) -> list[str]:
    pixels = np.zeros((3, 32, 32, 3), np.uint8)
    for channel in range(3):
        pixels[channel, ..., channel] = 255
    return [ranking[0].label for ranking in model.rank(list(pixels), 1)]


@pytest.mark.parametrize("make", [torchscript, any_batch])
def test_files_that_bring_their_network_answer_in_batches(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    data = make()
    model = Inference(load(choice(tmp_path, data)), 4, 1)
    assert colours(model) == LABELS
    assert model.info.name == "mine"
    assert model.info.fingerprint == digest(data)[:16]


def test_a_program_that_was_exported_for_one_size_of_batch_is_told(tmp_path: Path) -> None:
    found = load(choice(tmp_path, exported()))
    with pytest.raises(BadModel, match=r"first forward pass failed: .*size\(\)\[0\] == 2"):
        Inference(found, 4, 1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_exported_program_runs_in_each_precision(
    tmp_path: Path, precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionfleet.model.precision.AGREEMENT_FLOOR", 0.5)
    model = Inference(load(choice(tmp_path, any_batch())), 4, 1, precision)
    assert model.precision.name == precision
    assert colours(model) == LABELS


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
def test_a_state_dict_of_our_network(tmp_path: Path, wrap: Callable[[Any], Any], old: bool) -> None:
    torch.manual_seed(0)
    network = build("resnet9", {"width": 8}, 3).eval()
    data = saved(wrap(network.state_dict()), old)
    model = Inference(load(choice(tmp_path, data, architecture="resnet9")), 2, 1, PLAIN)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    mean = torch.tensor(model.preprocessing.mean).view(3, 1, 1)
    std = torch.tensor(model.preprocessing.std).view(3, 1, 1)
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    with torch.inference_mode():
        expected = torch.softmax(network(((image - mean) / std).unsqueeze(0)), dim=1)[0]
    found = {ranked.label: ranked.score for ranked in model.rank([pixels], 3)[0]}
    assert [found[label] for label in LABELS] == pytest.approx(expected.tolist(), abs=1e-3)


def test_a_state_dict_of_torchvision_takes_its_classes_from_the_labels(tmp_path: Path) -> None:
    from visionfleet.model.torchvision_weights import build as build_published

    weights = build_published("mobilenet_v3_small", 3, "").state_dict()
    found = load(choice(tmp_path, saved(weights), architecture="mobilenet_v3_small"))
    model = Inference(found, 2, 1, PLAIN)
    assert model.folded > 20
    assert len(model.rank([np.zeros((32, 32, 3), np.uint8)], 5)[0]) == 3


def test_weights_that_do_not_fit_are_told_with_the_first_misfit(tmp_path: Path) -> None:
    weights = saved(build("resnet9", {"width": 8}, 4).state_dict())
    with pytest.raises(BadModel, match=r"does not fit resnet9 with 3 labels: .*head.weight"):
        load(choice(tmp_path, weights, architecture="resnet9"))
    with pytest.raises(BadModel, match="does not fit resnet18 with 3 labels: Missing key"):
        load(choice(tmp_path, weights, architecture="resnet18"))


def test_an_architecture_must_be_known_and_given_for_weights_alone(tmp_path: Path) -> None:
    weights = saved(build("resnet9", {"width": 8}, 3).state_dict())
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
def test_a_pickle_with_code_is_refused(tmp_path: Path, old: bool, architecture: str | None) -> None:
    trap = tmp_path / "trap"
    for value in ({"weight": Trap(trap)}, Trap(trap)):
        data = saved(value, old)
        with pytest.raises(BadModel, match=r"holds Python objects \(posix.mkdir\)"):
            load(choice(tmp_path, data, architecture=architecture))
    assert not trap.exists()


def test_a_whole_pickled_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"torch.save\(model.state_dict\(\), FILE\)"):
        load(choice(tmp_path, saved(nn.Sequential(nn.Linear(2, 2)))))


def test_a_bare_pickle_is_no_model(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for data in (pickle.dumps(Trap(trap)), b"", b"\x80\x02garbage", b"PK\x03\x04 half a zip"):
        with pytest.raises(BadModel, match="not a TorchScript file, an exported program or a"):
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
def test_an_exported_program_with_code_in_it_is_refused(tmp_path: Path, old: str, new: str) -> None:
    def change(name: str, content: bytes) -> bytes:
        if not name.endswith(".json"):
            return content
        tight = json.dumps(json.loads(content), separators=(",", ":"))
        return tight.replace(old, new).encode()

    data = any_batch()
    bad = changed(data, change)
    assert Inference(load(choice(tmp_path, changed(data, lambda _, c: c))), 2, 1, PLAIN)
    with pytest.raises(BadModel, match="not known to be safe"):
        load(choice(tmp_path, bad))


def test_a_pickle_inside_an_exported_program_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    evil = saved({"x": Trap(trap)})
    data = changed(any_batch(), lambda name, c: evil if name.endswith("model.pt") else c)
    with pytest.raises(BadModel, match="cannot be loaded"):
        load(choice(tmp_path, data))
    assert not trap.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_machine_code_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model/archive_format", "pt2")
        archive.writestr("model/data/aotinductor/model/model.so", b"")
    with pytest.raises(BadModel, match="machine code compiled for one processor"):
        load(choice(tmp_path, buffer.getvalue()))


# S3


class Bucket:
    """Objects by (bucket, key), and a count of the reads."""

    def __init__(self, objects: dict[tuple[str, str], bytes]) -> None:
        self.objects = objects
        self.reads: list[tuple[str, str]] = []

    def fetch(self, bucket: str, key: str) -> bytes:
        self.reads.append((bucket, key))
        try:
            return self.objects[bucket, key]
        except KeyError:
            raise NotFound(f"get {key}: NoSuchKey") from None


def remote(folder: Path, data: bytes) -> tuple[ModelSection, Bucket]:
    bucket = Bucket({("b", "m/x.pt"): data, ("b", "labels.txt"): b"red\ngreen\nblue\n"})
    return choice(folder, data, path="s3://b/m/x.pt", labels="s3://b/labels.txt"), bucket


def test_a_model_from_s3_is_kept_and_not_fetched_again(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    cache = tmp_path / "cache" / "models"
    source = Source(bucket.fetch, cache)
    assert colours(Inference(load(chosen, source), 3, 1, PLAIN)) == LABELS
    assert [file.name for file in cache.iterdir()] == [chosen.sha256]
    assert colours(Inference(load(chosen, source), 3, 1, PLAIN)) == LABELS
    assert bucket.reads.count(("b", "m/x.pt")) == 1


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    data = torchscript()
    chosen, bucket = remote(tmp_path, data)
    source = Source(bucket.fetch, tmp_path)
    kept = tmp_path / str(chosen.sha256)
    for damaged in (b"", data[:-1], b"other"):
        kept.write_bytes(damaged)
        load(chosen, source)
        assert kept.read_bytes() == data
    assert bucket.reads.count(("b", "m/x.pt")) == 3


def test_an_object_with_another_sha256_is_refused_and_not_kept(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    bucket.objects["b", "m/x.pt"] += b"x"
    with pytest.raises(BadModel, match=r"its SHA-256 is .*, model.sha256 says"):
        load(chosen, Source(bucket.fetch, tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    chosen, bucket = remote(tmp_path, torchscript())
    for cache in (tmp_path / "file" / "cache", None):
        assert load(chosen, Source(bucket.fetch, cache)).labels == tuple(LABELS)


def test_what_is_not_in_s3_names_the_setting(tmp_path: Path) -> None:
    chosen, bucket = remote(tmp_path, torchscript())
    del bucket.objects["b", "labels.txt"]
    with pytest.raises(BadModel, match=r"s3://b/labels.txt: cannot be read: .*\(model.labels\)"):
        load(chosen, Source(bucket.fetch))
    bucket.objects.clear()
    with pytest.raises(BadModel, match=r"s3://b/m/x.pt: cannot be read: .*\(model.path\)"):
        load(chosen, Source(bucket.fetch))


def test_s3_that_does_not_answer_is_a_reason_to_try_later(tmp_path: Path) -> None:
    def busy(_bucket: str, key: str) -> bytes:
        raise TryLater(f"get {key}: SlowDown")

    chosen, _ = remote(tmp_path, torchscript())
    with pytest.raises(TryLater):
        load(chosen, Source(busy))


def test_where_models_are_kept() -> None:
    given = {"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}
    assert cache_folder({}) == Path("/var/cache/visionfleet/models")
    assert cache_folder(given) == Path("/var/cache/a/models")


# Labels

LABEL_FILES = {
    "lines": ("labels.txt", "red\n\n green \nblue"),
    "lines of Windows": ("labels", "\ufeffred\r\ngreen\r\nblue\r\n"),
    "a JSON list": ("labels.json", '["red", "green", "blue"]'),
    "JSON by index": ("labels.json", '{"1": "green", "0": "red", "2": "blue"}'),
    "JSON of ImageNet": (
        "labels.json",
        '{"0": ["n1", "red"], "1": ["n2", "green"], "2": ["n3", "blue"]}',
    ),
}
BAD_LABELS = {
    "nothing": ("labels.txt", "\n", "no labels in it"),
    "no JSON": ("labels.json", "red\n", "not labels"),
    "a JSON number": ("labels.json", "7", "expected a list of labels"),
    "a gap": ("labels.json", '{"0": "red", "2": "blue"}', "no label for index 1"),
}


@pytest.mark.parametrize(("name", "text"), LABEL_FILES.values(), ids=LABEL_FILES)
def test_labels(tmp_path: Path, name: str, text: str) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / name))
    (tmp_path / name).write_text(text)
    assert load(chosen).labels == tuple(LABELS)


@pytest.mark.parametrize(("name", "text", "reason"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels(tmp_path: Path, name: str, text: str, reason: str) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / name))
    (tmp_path / name).write_text(text)
    with pytest.raises(BadModel, match=reason):
        load(chosen)


def test_labels_that_are_missing_or_no_text_are_told(tmp_path: Path) -> None:
    chosen = choice(tmp_path, torchscript(), labels=str(tmp_path / "none.txt"))
    with pytest.raises(BadModel, match=r"none.txt: cannot be read: .*\(model.labels\)"):
        load(chosen)
    (tmp_path / "none.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BadModel, match="not labels"):
        load(chosen)
