"""Models from every source, and the errors that say what to do."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision

from testkit.images.model_files import at_work
from testkit.images.models import table_model
from testkit.images.pictures import numbered
from visionfleet.config.classifier import ModelSection
from visionfleet.errors import BadModel
from visionfleet.model.loading import load


def choice(environment: dict[str, str], **changes: Any) -> ModelSection:
    """The settings of a table model, as a configuration would hold them."""
    plain = {k.removeprefix("VISIONFLEET_MODEL__").lower(): v for k, v in environment.items()}
    fields: dict[str, Any] = {
        "name": plain["name"],
        "path": plain["path"],
        "sha256": plain["sha256"].strip("'"),
        "labels": plain["labels"],
        "resize": int(plain["resize"]),
        "crop": int(plain["crop"]),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
    }
    return ModelSection(**(fields | changes))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pictures = [numbered(i) for i in range(8)]
    return table_model(tmp_path_factory.mktemp("table"), pictures, [f"l{i}" for i in range(8)])


def test_pickled_code_is_not_run(tmp_path: Path, table: dict[str, str]) -> None:
    trap = tmp_path / "trap"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trap,))

    path = tmp_path / "x.pt"
    torch.save({"format": Evil()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(BadModel, match=r"holds Python objects .*code from a file is never run"):
        load(choice(table, path=str(path), sha256=digest))
    assert not trap.exists()


def test_table_model_answers_alike_alone_and_in_batches(table: dict[str, str]) -> None:
    model = at_work(load(choice(table)), 8, 1)
    pixels = [np.asarray(numbered(i)) for i in range(8)]
    batched = [ranking[0].label for ranking in model.rank(pixels, 3)]
    assert batched == [f"l{i}" for i in range(8)]
    assert [model.rank([p], 3)[0][0].label for p in pixels] == batched
    assert all(len(ranking) == 3 for ranking in model.rank(pixels, 3))
    assert len(model.rank(pixels[:1], 1000)[0]) == 8


def test_wrong_sha256_is_reported(table: dict[str, str]) -> None:
    with pytest.raises(BadModel, match=f"its SHA-256 is .*, model.sha256 says {'0' * 64}"):
        load(choice(table, sha256="0" * 64))


def test_file_that_is_no_torchscript_is_reported(tmp_path: Path, table: dict[str, str]) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"not a model")
    digest = hashlib.sha256(b"not a model").hexdigest()
    with pytest.raises(BadModel, match=r"is text, not a model \('not a model'\)"):
        load(choice(table, path=str(path), sha256=digest))


def test_labels_that_do_not_fit_are_reported(tmp_path: Path, table: dict[str, str]) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("only\ntwo\n")
    with pytest.raises(BadModel, match=r"gives \(1, 8\), not \(1, 2\)"):
        at_work(load(choice(table, labels=str(labels))), 2, 1)


class OneByOne(torch.nn.Module):
    """What tracing with one image makes of many models: the batch size is baked in."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3)).reshape(1, 3)


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*torch.jit:DeprecationWarning"
)
def test_model_traced_for_one_image_gets_single_images(tmp_path: Path) -> None:
    path, labels = tmp_path / "one.pt", tmp_path / "labels.txt"
    traced = torch.jit.trace(OneByOne(), torch.rand(1, 3, 32, 32))  # type: ignore[no-untyped-call]
    traced.save(str(path))
    labels.write_text("red\ngreen\nblue\n")
    loaded = load(
        ModelSection(
            name="one",
            path=str(path),
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            labels=str(labels),
            resize=32,
            crop=32,
        )
    )
    model = at_work(loaded, 4, 1)
    colours = np.zeros((3, 32, 32, 3), np.uint8)
    for i in range(3):
        colours[i, ..., i] = 255
    assert [r[0].label for r in model.rank(list(colours), 1)] == ["red", "green", "blue"]


def test_unknown_model_name_suggests_the_nearest() -> None:
    with pytest.raises(BadModel, match=r"'resnet81' is neither .* did you mean .*resnet18"):
        load(ModelSection(name="resnet81"))


def test_failed_weights_download_names_the_file_to_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(BadModel, match=r"fetch https://\S+/resnet18-f37072fd.pth .* place it at"):
        load(ModelSection(name="resnet18", directory=tmp_path))


def test_placed_weights_load_with_their_own_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights in the published file's place; its name is made to fit their SHA-256."""
    made = tmp_path / "made.pth"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), made)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()[:8]
    (tmp_path / f"resnet18-{digest}.pth").write_bytes(made.read_bytes())
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    url = f"https://example.org/resnet18-{digest}.pth"
    monkeypatch.setattr(type(weights), "url", property(lambda _: url), raising=False)
    loaded = load(ModelSection(name="resnet18", directory=tmp_path))
    assert (loaded.preprocessing.resize, loaded.preprocessing.crop) == (256, 224)
    assert (len(loaded.labels), loaded.labels[0]) == (1000, "tench")
    model = at_work(loaded, 2, 1)
    assert len(model.rank([np.zeros((224, 224, 3), np.uint8)], 5)[0]) == 5


def test_damaged_weights_are_reported(tmp_path: Path) -> None:
    (tmp_path / "resnet18-f37072fd.pth").write_bytes(b"half a download")
    with pytest.raises(BadModel, match="damaged: its SHA-256 starts with"):
        load(ModelSection(name="resnet18", directory=tmp_path))
