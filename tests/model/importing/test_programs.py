"""Networks that bring their weights with them: ONNX, TorchScript, exported programs, artefacts."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from testkit.images.model_files import Colours, any_batch, digest, torchscript  # noqa: E402
from tests.model.importing.conftest import LABELS, Import  # noqa: E402
from visionfleet.cli import main  # noqa: E402
from visionfleet.config import load as load_config  # noqa: E402
from visionfleet.errors import BadModel  # noqa: E402
from visionfleet.model.importing.making import Imported, written  # noqa: E402
from visionfleet.model.open import find_or_make, opened  # noqa: E402

pytestmark = pytest.mark.needs_torch
SIDE = {"resize": 32, "crop": 32}


class Pair(nn.Module):
    """Gives its scores in a tuple, as networks of Hugging Face do when they are traced."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Colours()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.network(images)
        return scores, images


class ChannelsLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = Colours()

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.network(images.permute(0, 3, 1, 2))
        return scores


class FeaturesFirst(Pair):
    """Gives as many features as images have sides, and its scores after them."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1)[:, :7], self.network(images)


def exported(path: Path, network: nn.Module) -> Path:
    sizes = ({0: torch.export.Dim("images")},)
    program = torch.export.export(network.eval(), (torch.rand(2, 3, 32, 32),), dynamic_shapes=sizes)
    torch.export.save(program, path)
    return path


def onnx(path: Path, network: nn.Module, fixed: bool = False, last: bool = False) -> Path:
    pytest.importorskip("onnx")
    shape = (1, 32, 32, 3) if last else (1, 3, 32, 32)
    axes = {} if fixed else {"images": {0: "n"}, "scores": {0: "n"}}
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network.eval(), (torch.rand(shape),), str(path), dynamo=False, dynamic_axes=axes,
            input_names=["images"], output_names=["scores"],
        )  # fmt: skip
    return path


def traced(path: Path, network: nn.Module) -> Path:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(network.eval(), torch.rand(2, 3, 32, 32)).save(str(path))
    return path


def file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


SOURCES: dict[str, Callable[[Path], Path]] = {
    "ONNX": lambda f: onnx(f / "a.onnx", Colours()),
    "ONNX for one image": lambda f: onnx(f / "a.bin", Colours(), fixed=True),
    "ONNX of probabilities": lambda f: onnx(f / "a", nn.Sequential(Colours(), nn.Softmax(1))),
    "ONNX, channels last": lambda f: onnx(f / "a", ChannelsLast(), last=True),
    "TorchScript": lambda f: file(f / "a.pt", torchscript()),
    "TorchScript of a pair": lambda f: traced(f / "a.pt", Pair()),
    "TorchScript of probabilities": lambda f: traced(
        f / "a.pt", nn.Sequential(Colours(), nn.Softmax(1))
    ),
    "TorchScript of a sigmoid": lambda f: traced(
        f / "a.pt", nn.Sequential(Colours(), nn.Sigmoid())
    ),
    "exported program": lambda f: file(f / "a.pt2", any_batch()),
    "exported probabilities": lambda f: exported(
        f / "a.pt2", nn.Sequential(Colours(), nn.Softmax(1))
    ),
    "exported features and scores": lambda f: exported(f / "a.pt2", FeaturesFirst()),
    "ONNX of features and scores": lambda f: onnx(f / "a.onnx", FeaturesFirst()),
}


def answers(model: Any) -> list[str]:
    """What it says of pictures in one colour each."""
    pixels = np.zeros((3, 32, 32, 3), np.uint8)
    for channel in range(3):
        pixels[channel, ..., channel] = 255
    return [ranking[0].label for ranking in model.rank(list(pixels), 1)]


def served(made: Imported, folder: Path) -> Any:
    """What a worker opens whose settings are those that were written."""
    _, settings = written(made, folder)
    config = load_config(settings, {}).config
    return opened(find_or_make(config, {"CACHE_DIRECTORY": str(folder)}), config.model, 1)


@pytest.mark.parametrize("source", SOURCES)
def test_program_is_served_as_it_answers(tmp_path: Path, bring: Import, source: str) -> None:
    made = bring(SOURCES[source](tmp_path), **SIDE)
    model = served(made, tmp_path)
    assert answers(model) == list(LABELS)
    assert all(one.same and one.difference < 0.05 for one in made.compared)
    told = " ".join(made.notes)
    assert ("it gives probabilities" in told) == ("probabilities" in source)
    assert ("as behind a sigmoid" in told) == ("sigmoid" in source)
    assert list(tmp_path.glob("models/*")) == [], "nothing was made anew"


def test_settings_tell_what_the_artefact_holds(tmp_path: Path, bring: Import) -> None:
    made = bring(file(tmp_path / "My Birds.pt", torchscript()), **SIDE)
    path, settings = written(made, tmp_path)
    assert path.name == "my-birds.artefact"
    text = settings.read_text()
    assert f"sha256: {digest(path.read_bytes())}" in text
    assert "# labels: 3: red, green, blue" in text
    assert "# preprocessing: resize 32, crop 32, bilinear, mean [0.485, 0.456, 0.406]" in text


def test_folder_that_cannot_be_written_is_told(tmp_path: Path, bring: Import) -> None:
    made = bring(file(tmp_path / "a.pt", torchscript()), **SIDE)
    with pytest.raises(BadModel, match=r"a\.pt.* cannot be written: "):
        written(made, tmp_path / "a.pt")


def test_artefact_is_taken_as_it_is(tmp_path: Path, bring: Import) -> None:
    first = bring(file(tmp_path / "a.pt", torchscript()), **SIDE)
    (tmp_path / "made").mkdir()
    path, _ = written(first, tmp_path / "made")
    for source in (path, path.parent):
        again = bring(source)
        assert again.data == first.data
        assert again.what == f"the artefact {path}"


def test_model_path_may_be_a_folder_of_artefacts(tmp_path: Path, bring: Import) -> None:
    made = bring(file(tmp_path / "a.pt", torchscript()), **SIDE)
    path, _ = written(made, tmp_path)
    (tmp_path / "other.artefact").write_bytes(b"VFLEET02 of another kind")
    sha256 = digest(path.read_bytes())

    def worker(**changes: str) -> Any:
        settings = {"name": "mine", "path": str(tmp_path), "sha256": sha256} | changes
        (tmp_path / "vf.yaml").write_text(f"model: {settings}")
        config = load_config(tmp_path / "vf.yaml", {}).config
        return opened(find_or_make(config, {}), config.model, 1)

    model = worker()
    assert (model.info.name, answers(model)) == ("mine", list(LABELS))
    (tmp_path / "labels.txt").write_text("rot\ngruen\nblau\n")
    assert answers(worker(labels=str(tmp_path / "labels.txt"))) == ["rot", "gruen", "blau"]
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    with pytest.raises(BadModel, match=r"2 labels, and .* tells 3 classes apart"):
        worker(labels=str(tmp_path / "labels.txt"))
    for there in (path, tmp_path):
        with pytest.raises(BadModel, match="SHA-256"):
            worker(path=str(there), sha256="0" * 64)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadModel, match="is a folder without an artefact"):
        worker(path=str(tmp_path / "empty"))


def test_what_is_missing_is_told_in_a_sentence(tmp_path: Path, bring: Import) -> None:
    path = file(tmp_path / "a.pt", torchscript())
    with pytest.raises(BadModel, match=r"tells 3 classes apart and holds no names of them: .*FILE"):
        bring(path, labels=None)
    with pytest.raises(BadModel, match="tells 3 classes apart, and --labels names 2"):
        bring(path, labels=("a", "b"))
    with pytest.raises(BadModel, match="brings its network with it"):
        bring(path, architecture="resnet18")
    with pytest.raises(BadModel, match="--crop 64 is more than --resize 32"):
        bring(path, resize=32, crop=64)
    file(tmp_path / "b.onnx", b"\x08\x0a" + bytes([7 << 3 | 2, 2]) + b"\xff\xff")
    with pytest.raises(BadModel, match=r"b.onnx: OpenVINO cannot read it: \S"):
        bring(tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("/nowhere/a.pt", "/nowhere/a.pt: no such file or folder"),
        ("resnet81", "resnet81: no file or folder, and as a name it is neither"),
        ("https://example.org/a.pt", "fetch it first: curl -LO https://example.org/a.pt"),
        ("s3://bucket/a.pt", "fetch it first: aws s3 cp s3://bucket/a.pt ."),
        ("nobody/nothing", "nobody/nothing: not on this machine, and 127.0.0.1 cannot be reached"),
        ("timm:test_vit", "timm/test_vit.r160_in1k: not on this machine, and 127.0.0.1 cannot"),
    ],
)
def test_command_tells_one_line(
    source: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    assert main(["model", "import", source]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
