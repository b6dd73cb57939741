"""Networks that take no photos, or give no scores: each is told what to change."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from tests.model.importing.conftest import Import  # noqa: E402
from visionfleet.errors import BadModel  # noqa: E402

pytestmark = pytest.mark.needs_torch


class Network(nn.Module):
    """Takes so many channels, `last` of all or first; gives so many scores, or a map of them."""

    def __init__(
        self, channels: int = 3, scores: int = 3, last: bool = False, mapped: bool = False
    ):
        super().__init__()
        self.convolution = nn.Conv2d(channels, scores, 3)
        self.last, self.mapped = last, mapped

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.convolution(images.permute(0, 3, 1, 2) if self.last else images)
        return found if self.mapped else found.mean(dim=(2, 3))


class Bytes(Network):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images / 255)


def program(path: Path, network: nn.Module, images: Tensor) -> None:
    torch.export.save(torch.export.export(network.eval(), (images,)), path)


def script(path: Path, network: nn.Module, images: Tensor) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.jit.trace(network.eval(), images).save(str(path))


def onnx(path: Path, network: nn.Module, images: Tensor) -> None:
    pytest.importorskip("onnx")
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(network.eval(), (images,), str(path), dynamo=False)


ONE = torch.rand(1, 3, 32, 32)
GREY = torch.rand(1, 1, 32, 32)
Write = Callable[[Path, nn.Module, Tensor], None]
UNFIT: dict[str, tuple[Write, nn.Module, Tensor, str]] = {
    "program of one channel": (program, Network(1), GREY, "takes images of one channel: let it"),
    "script of one channel": (script, Network(1), GREY, "takes images of one channel: let it"),
    "ONNX of one channel": (onnx, Network(1), GREY, r"but \[1,1,32,32\] of f32: let it take those"),
    "program of channels last": (
        *(program, Network(last=True), torch.rand(1, 32, 32, 3)),
        "takes N x H x W x 3: let it take N x 3 x H x W",
    ),
    "half program": (program, Network().half(), ONE.half(), r"takes float16: .*network.float\(\)"),
    "double script": (script, Network().double(), ONE.double(), "takes float64: make it one"),
    "program of bytes": (
        program,
        Bytes(),
        ONE.to(torch.uint8),
        r"of 3 x 32 x 32 in torch.uint8, not",
    ),
    "ONNX of bytes": (onnx, Bytes(), ONE.to(torch.uint8), "of u8: let it take those"),
    "program of four": (program, Network(), ONE.repeat(4, 1, 1, 1), "takes 4 images at a time"),
    "wide program": (
        program,
        Network(),
        ONE[:, :, 8:],
        "takes images of 3 x 24 x 32 in .*, not of 3 x",
    ),
    "wide ONNX": (onnx, Network(), ONE[:, :, 8:], "no images of N x 3 x side x side .*3,24,32"),
    "program of six channels": (
        *(program, Network(6), torch.rand(1, 6, 32, 32)),
        "takes images of 6 x 32 x 32 in .*, not of 3 x side x side",
    ),
    "one score": (program, Network(scores=1), ONE, r"one score for each image, .*torch.cat"),
    "one score of ONNX": (onnx, Network(scores=1), ONE, r"one score for each image"),
    "map of ONNX": (onnx, Network(mapped=True), ONE, "gives 1 x 3 x 30 x 30, and not a row"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_unfit_network_is_told_what_to_change(tmp_path: Path, bring: Import, name: str) -> None:
    write, network, images, told = UNFIT[name]
    write(tmp_path / "a.bin", network, images)
    with pytest.raises(BadModel, match=told):
        bring(tmp_path / "a.bin", resize=32, crop=32)


def test_weights_in_parts_want_their_configuration(tmp_path: Path, bring: Import) -> None:
    part = tmp_path / "model-00001-of-00002.safetensors"
    save_file({"fc.weight": torch.zeros(2, 2)}, part)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    for source in (part, tmp_path):
        with pytest.raises(BadModel, match=r"in several files, and no config.json .* copy it"):
            bring(source)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"num_classes": 0}, "gives features and tells no classes apart"),
        ({"model_args": {"in_chans": 1}}, "takes images of 1 channels, not three"),
        ({"pretrained_cfg": {"input_size": [4, 64, 64]}}, "takes images of 4 channels"),
    ],
)
def test_unfit_timm_folder_is_told(
    tmp_path: Path, bring: Import, config: dict[str, object], told: str
) -> None:
    pytest.importorskip("timm")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet10t"} | config))
    with pytest.raises(BadModel, match=told):
        bring(tmp_path)
