"""Models from elsewhere, from the file to the answer of a real worker."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402
from torchvision import models as published  # noqa: E402

from testkit.aws.embedded import Cloud  # noqa: E402
from testkit.classifier.daemon import classifier_daemon, results  # noqa: E402
from testkit.images.model_files import LABELS, Colours, torchscript  # noqa: E402
from testkit.images.pictures import encoded  # noqa: E402
from visionfleet.cli import main  # noqa: E402

pytestmark = pytest.mark.needs_torch

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SMALL = ("--resize", "32", "--crop", "32")


def picture(colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (80, 60), colour)


def script(path: Path) -> tuple[str, ...]:
    path.write_bytes(torchscript())
    return SMALL


def onnx(path: Path) -> tuple[str, ...]:
    pytest.importorskip("onnx")
    with warnings.catch_warnings(action="ignore"):
        images = torch.rand(1, 3, 32, 32)
        torch.onnx.export(Colours().eval(), (images,), str(path), dynamo=False)
    return SMALL


def safetensors(path: Path) -> tuple[str, ...]:
    """A body that was never trained, and a head that tells the three colours from its features."""
    torch.manual_seed(5)
    network = published.shufflenet_v2_x0_5(weights=None)
    network.fc = nn.Identity()
    pixels = torch.tensor(COLOURS).float().div(255).view(3, 3, 1, 1).expand(3, 3, 64, 64)
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.inference_mode():
        features = network.eval()((pixels - mean) / std)
        middle = features.mean(dim=0)
        weights = (9 * torch.linalg.pinv(features - middle)).t().contiguous()
    head = nn.Linear(1024, 3)
    head.weight.data, head.bias.data = weights, -(weights @ middle)
    network.fc = nn.Sequential(nn.Dropout(), head)
    save_file({f"model.{n}": v for n, v in network.state_dict().items()}, path)
    return ("--architecture", "shufflenet_v2_x0_5", "--resize", "64", "--crop", "64")


@pytest.mark.parametrize(
    ("make", "file"),
    [(script, "mine.pt"), (safetensors, "mine.safetensors"), (onnx, "mine.onnx")],
)
def test_imported_file_is_served_by_a_worker(
    aws: Cloud,
    tmp_path: Path,
    make: Callable[[Path], tuple[str, ...]],
    file: str,
    settings: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("visionfleet.model.trials._TRIAL_SECONDS", 0.2)
    monkeypatch.setattr("visionfleet.model.samples._CROPS", 8)
    options = make(tmp_path / file)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS))
    labels = ("--labels", str(tmp_path / "labels.txt"))
    into = ("--into", str(tmp_path / "conf.d"))
    assert main(["model", "import", str(tmp_path / file), *labels, *into, *options]) == 0
    jobs = [f"job{number}" for number in range(3)]
    for job, colour in zip(jobs, COLOURS, strict=True):
        aws.send_request(job, encoded(picture(colour)))
    with classifier_daemon(aws, tmp_path, "w0", settings, CACHE_DIRECTORY=str(tmp_path)):
        found = results(aws, jobs)
    assert [found[job]["label"] for job in jobs] == LABELS
    assert {found[job]["model"]["name"] for job in jobs} == {"mine"}
    assert not list(tmp_path.glob("models/*.artefact")), "the worker made none itself"
