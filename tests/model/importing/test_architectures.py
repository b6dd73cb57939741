"""Weights whose architecture nobody named, with heads of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torchvision import models  # noqa: E402

from visionfleet.errors import BadModel  # noqa: E402
from visionfleet.model.importing.files import from_file  # noqa: E402
from visionfleet.model.importing.found import Found, Wanted  # noqa: E402

pytestmark = pytest.mark.needs_torch


def headed(head: nn.Module | None = None, classes: int = 3) -> nn.Module:
    torch.manual_seed(3)
    network: nn.Module = models.shufflenet_v2_x0_5(weights=None, num_classes=classes)
    if head is not None:
        network.fc = head
    return network.eval()


class Wrapped(nn.Module):
    """A body without a head, and the head beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.classifier = headed(nn.Identity()), nn.Linear(1024, 3)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.body(images))
        return scores


def found(path: Path, **wanted: Any) -> Found:
    return from_file(path, Wanted(**wanted), lambda _line: None)


def same(one: nn.Module, other: nn.Module) -> bool:
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        return bool(torch.allclose(one(images), other(images), atol=1e-4))


@pytest.mark.parametrize(
    "make",
    [
        headed,
        lambda: headed(nn.Sequential(nn.Dropout(), nn.Linear(1024, 3))),
        lambda: headed(nn.Sequential(nn.Linear(1024, 9), nn.ReLU(), nn.Dropout(), nn.Linear(9, 3))),
        lambda: headed(nn.Sequential(nn.LayerNorm(1024), nn.Linear(1024, 3, bias=False))),
        lambda: headed(
            nn.Sequential(nn.Linear(1024, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3))
        ),
        Wrapped,
    ],
    ids=["plain", "dropout", "two layers", "norm", "norm between", "beside the body"],
)
def test_heads_of_every_shape_answer_alike(tmp_path: Path, make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(4)
    network = make().eval()
    save_file(network.state_dict(), tmp_path / "shufflenet_v2_x0_5.safetensors")
    assert same(found(tmp_path / "shufflenet_v2_x0_5.safetensors").model.module, network)


def test_architecture_is_found_by_names_and_shapes(tmp_path: Path) -> None:
    torch.save({"state_dict": headed().state_dict()}, tmp_path / "mine.pth")
    read = found(tmp_path / "mine.pth")
    assert read.what == "weights of shufflenet_v2_x0_5 of torchvision"
    assert same(read.model.module, headed())


def test_name_of_timm_in_a_checkpoint_is_taken(tmp_path: Path) -> None:
    network = timm.create_model("test_vit", num_classes=3).eval()
    torch.save({"arch": "test_vit", "state_dict": network.state_dict()}, tmp_path / "mine.pth")
    read = found(tmp_path / "mine.pth")
    assert read.what == "weights of test_vit of timm"
    assert read.model.preprocessing.crop == 160
    images = torch.rand(2, 3, 160, 160)
    assert torch.allclose(read.model.module(images), network(images), atol=1e-4)


def test_wrong_architecture_names_the_right_one(tmp_path: Path) -> None:
    torch.save(headed().state_dict(), tmp_path / "mine.pth")
    with pytest.raises(BadModel, match=r"does not fit resnet18 .*; it fits shufflenet_v2_x0_5$"):
        found(tmp_path / "mine.pth", architecture="resnet18")
    with pytest.raises(BadModel, match=r"'resnet81' is neither .* did you mean"):
        found(tmp_path / "mine.pth", architecture="resnet81")


@pytest.fixture
def no_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("architectures", "files"):  # to look through its families takes long
        name = f"visionfleet.model.importing.{module}.timm_library"
        monkeypatch.setattr(name, lambda required: None)


@pytest.mark.usefixtures("no_timm")
def test_named_architecture_that_does_not_fit_is_told(tmp_path: Path) -> None:
    weights = headed().state_dict()
    weights["conv1.0.weight"] = weights["conv1.0.weight"][:, :1]
    torch.save(weights, tmp_path / "shufflenet_v2_x0_5.pth")
    with pytest.raises(BadModel, match=r"conv1.0.weight is \(24, 1, 3, 3\), not \(24, 3, 3, 3\)"):
        found(tmp_path / "shufflenet_v2_x0_5.pth")


@pytest.mark.usefixtures("no_timm")
def test_weights_of_nothing_known_say_what_to_do(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 5, 3)).state_dict(), tmp_path / "mine.pth")
    with pytest.raises(BadModel, match=r"fits no architecture .*timm.* is not .*torch.jit.script"):
        found(tmp_path / "mine.pth")


def test_weights_without_a_head_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "shufflenet_v2_x0_5.pth"
    torch.save(headed(nn.Identity()).state_dict(), path)
    with pytest.raises(BadModel, match="without its last layer, so it gives features"):
        found(path)


def test_labels_beside_the_weights_are_read(tmp_path: Path) -> None:
    path = tmp_path / "shufflenet_v2_x0_5.pth"
    classes = {"cat": 0, "dog": 1, "eel": 2}
    torch.save({"model": headed().state_dict(), "class_to_idx": classes}, path)
    assert found(path).model.labels == ("cat", "dog", "eel")
