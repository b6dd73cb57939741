"""`visionfleet model inspect`: what it says of a file of any kind."""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from visionfleet.cli import main  # noqa: E402
from visionfleet.model import default_model  # noqa: E402
from visionfleet.model.efficientnet_lite import EfficientNetLite0  # noqa: E402
from visionfleet.model.inspection import inspect  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Means(nn.Module):
    """Three means and a weight; takes images of any size unless it was made for one."""

    def __init__(self, side: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.side = side or 0

    def forward(self, images: Tensor) -> Tensor:
        if self.side:
            images = images.reshape(images.shape[0], 3, self.side, self.side)
        return images.mean(dim=(2, 3)) * self.weight


def write(path: Path, save: Callable[[Path], Any]) -> bytes:
    with warnings.catch_warnings(action="ignore"):  # TorchScript is what users bring, old or not
        save(path)
    return path.read_bytes()


def scripted(side: int | None) -> Callable[[Path], Any]:
    return lambda path: torch.jit.script(Means(side)).save(str(path))


def exported(path: Path) -> None:
    program = torch.export.export(
        Means(), (torch.rand(2, 3, 48, 48),), dynamic_shapes={"images": {0: torch.export.Dim("n")}}
    )
    torch.export.save(program, path)


def weights(network: nn.Module) -> Callable[[Path], Any]:
    return lambda path: torch.save({"state_dict": network.state_dict()}, path)


@pytest.mark.parametrize(
    ("save", "expected"),
    [
        pytest.param(
            scripted(None),
            {"kind": "TorchScript", "input": "N x 3 x 224 x 224", "scores": 3, "parameters": 3},
            id="torchscript",
        ),
        pytest.param(
            scripted(32),
            {"kind": "TorchScript", "input": "N x 3 x 32 x 32", "scores": 3},
            id="torchscript for one size",
        ),
        pytest.param(
            exported,
            {"kind": "exported program", "input": "N x 3 x 48 x 48", "scores": 3, "parameters": 3},
            id="exported",
        ),
        pytest.param(
            weights(EfficientNetLite0(5)),
            {"kind": "state dict", "scores": 5, "architecture": "efficientnet_lite0"},
            id="weights of the default network",
        ),
        pytest.param(
            weights(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 7))),
            {"kind": "state dict", "scores": 7, "architecture": None, "parameters": 155},
            id="weights of another",
        ),
    ],
)
def test_model_show_tells_every_kind_of_file(
    tmp_path: Path, save: Callable[[Path], Any], expected: dict[str, Any]
) -> None:
    data = write(tmp_path / "model", save)
    found = inspect(data, "FILE")
    assert {name: getattr(found, name) for name in expected} == expected
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.bytes == len(data)


def test_model_show_describes_the_default_model() -> None:
    found = asdict(inspect(default_model.weights().read_bytes(), "FILE"))
    assert found["kind"] == "weights of the default model"
    assert found["architecture"] == "efficientnet_lite0"
    assert (found["labels"][0], found["scores"]) == ("tench", 1000)
    assert found["input"] == "N x 3 x 224 x 224"
    assert found["temperature"] == default_model.TEMPERATURE
    assert found["unknown_below"] == default_model.UNKNOWN_BELOW
    assert found["preprocessing"]["interpolation"] == "bicubic"


def test_model_show_prints_json_and_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "inspect", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"][0] == "tench"
    assert main(["model", "inspect", str(default_model.weights())]) == 0
    assert "\nlabels         tench, goldfish" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"no model", "is text, not a model"),
        (b"PK\x03\x04 broken", "cut short or damaged"),
    ],
)
def test_model_show_of_another_file_is_one_error_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, told: str
) -> None:
    (tmp_path / "x").write_bytes(content)
    assert main(["model", "inspect", str(tmp_path / "x")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"x: {told}" in line


def test_model_show_of_a_missing_file_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "inspect", "/nowhere/x.pt"]) == 1
    assert "/nowhere/x.pt: cannot be read: No such file" in capsys.readouterr().err
