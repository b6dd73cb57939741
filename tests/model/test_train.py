"""The training script as a real process, on a tiny data set made for the test."""

import importlib
import io
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("rich")

from PIL import Image  # noqa: E402

from testkit import ROOT  # noqa: E402
from visionfleet.model.architectures import build  # noqa: E402

pytestmark = pytest.mark.needs_torch

LABELS = [f"class{number}" for number in range(10)]


def jpeg(shade: int, noise: random.Random, size: tuple[int, int]) -> bytes:
    image = Image.new("RGB", size, (shade, 255 - shade, noise.randrange(256)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()


def write_zip(path: Path, seed: int, labels: list[str] = LABELS) -> None:
    """Ten folders of twelve JPEGs; some are not 32 px square and must be resized."""
    noise = random.Random(seed)
    with zipfile.ZipFile(path, "w") as archive:
        for number, label in enumerate(labels):
            for image in range(12):
                size = (48, 40) if image == 0 else (32, 32)
                name = f"{path.stem}/{label}/{image:04}.jpg"
                archive.writestr(name, jpeg(25 * number, noise, size))


def options(folder: Path, *more: str) -> list[str]:
    widths = ["--first", "4", "--second", "5", "--third", "6"]
    small = [*widths, "--batch", "30", "--held-out", "40", "--out", str(folder / "tiny.pt")]
    return ["--data", str(folder), *small, *more]


def run_training(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "training" / "train.py"), *options(folder, *more)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "lib"), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def train(monkeypatch: pytest.MonkeyPatch, folder: Path, *more: str) -> None:
    """The same in this process, which has loaded torch."""
    monkeypatch.syspath_prepend(ROOT / "training")
    monkeypatch.setattr(sys, "argv", ["train.py", *options(folder, *more)])
    importlib.import_module("train").main()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_zip(tmp_path / "train.zip", seed=1)
    write_zip(tmp_path / "test.zip", seed=2)
    return tmp_path


def test_training_resumes_and_its_checkpoint_can_be_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_training(folder, "--epochs", "1")
    assert first.returncode == 0, first.stderr
    assert "epoch 1/1" in first.stdout

    second = run_training(folder, "--epochs", "2", "--resume")
    assert second.returncode == 0, second.stderr
    assert "epoch 2/2" in second.stdout
    assert "epoch 1/2" not in second.stdout

    content = torch.load(folder / "tiny.pt", weights_only=True)
    assert content["format"] == "visionfleet-checkpoint/1"
    assert (content["name"], content["licence"]) == ("cifar10", "MIT")
    assert content["labels"] == LABELS
    assert content["metrics"]["test_images"] == 120
    assert content["metrics"]["epochs"] == 2
    assert 0 <= content["metrics"]["top1"] <= 1
    assert set(content["metrics"]["per_class"]) == set(LABELS)
    assert 0 <= content["metrics"]["expected_calibration_error"] <= 1
    assert content["calibration"]["images"] == 40, "none of them was trained on"
    assert 0.05 <= content["calibration"]["temperature"] <= 20
    assert 0 <= content["calibration"]["unknown_below"] < 1
    assert content["calibration"]["mirror_below"] == 0.8
    preprocessing = content["preprocessing"]
    assert (preprocessing["resize"], preprocessing["crop"]) == (32, 32)
    assert preprocessing["interpolation"] in {"bilinear", "bicubic"}
    assert len(preprocessing["mean"]) == len(preprocessing["std"]) == 3

    network = build(content["architecture"], content["options"], len(LABELS)).eval()
    network.load_state_dict(content["state_dict"])
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)

    write_zip(folder / "train.zip", 1, LABELS[:4])  # other classes, and the same first layers
    write_zip(folder / "test.zip", 2, LABELS[:4])
    begun = ["--start", str(folder / "tiny.pt"), "--rate", "0", "--adam-rate", "0"]
    train(monkeypatch, folder, "--epochs", "1", *begun, "--out", str(folder / "more.pt"))
    further = torch.load(folder / "more.pt", weights_only=True)
    assert further["labels"] == LABELS[:4]
    assert len(further["state_dict"]["head.weight"]) == 4
    first_layer = "whiten.weight"
    assert torch.equal(further["state_dict"][first_layer], content["state_dict"][first_layer])
    assert (folder / "tiny.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize(
    ("arrange", "more", "sentence"),
    [
        pytest.param(
            lambda folder: (folder / "test.zip").unlink(), [], "test.zip", id="no test images"
        ),
        pytest.param(
            lambda folder: write_zip(folder / "test.zip", 2, LABELS[:9]),
            [],
            "do not have the same classes",
            id="the classes differ",
        ),
        pytest.param(lambda folder: None, ["--resume"], "no state", id="nothing to resume"),
        pytest.param(
            lambda folder: None, ["--start", "no.pt"], "no checkpoint", id="nothing to begin with"
        ),
        pytest.param(
            lambda folder: None,
            ["--start", str(ROOT / "models" / "cifar10.pt")],
            "not a convnet8 {'first': 4",
            id="begin with another network",
        ),
        pytest.param(
            lambda folder: torch.save({"recipe": {"seed": 7}}, folder / "tiny.state.pt"),
            ["--resume"],
            "begun with other settings",
            id="of another recipe",
        ),
    ],
)
def test_training_names_missing_data(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arrange: Callable[[Path], object],
    more: list[str],
    sentence: str,
) -> None:
    arrange(folder)
    with pytest.raises(SystemExit, match=sentence):
        train(monkeypatch, folder, "--epochs", "1", *more)
    assert not (folder / "tiny.pt").exists()
