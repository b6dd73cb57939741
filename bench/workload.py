"""What the classifier benchmarks work on: photos of about 100 KB, and models to answer them."""

import hashlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch
import torchvision
from PIL import Image

from visionfleet.local.sample_images import random_crop, shipped_photos

PHOTO_BYTES = 100_000


def photos(folder: Path | None, count: int) -> list[bytes]:
    """Take `count` JPEGs from a folder, again from its start when it has fewer.

    Without a folder: varied crops of freely licensed photos, enlarged to about `PHOTO_BYTES`.
    """
    if folder is None:
        return list(made(count))
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
    return [files[i % len(files)].read_bytes() for i in range(count)]


def made(count: int, distinct: int = 64) -> Iterator[bytes]:
    """Make photos of 500 x 375 pixels, the size of ImageNet's; `distinct` different ones."""
    random = Random(1)
    sources = [Image.open(path).convert("RGB") for path in shipped_photos().values()]
    some = []
    for i in range(min(count, distinct)):
        picture = random_crop(sources[i % len(sources)], random).resize((500, 375))
        noise = Image.effect_noise(picture.size, 40).convert("RGB")
        buffer = io.BytesIO()
        Image.blend(picture, noise, 0.12).save(buffer, "JPEG", quality=95)
        some.append(buffer.getvalue())
    yield from (some[i % len(some)] for i in range(count))


def models(folder: Path) -> dict[str, dict[str, str]]:
    """Settings of the models: the default one, ResNet-18 with random weights, and an instant one.

    Random weights are as fast as trained ones; an instant model shows what all the rest costs.
    """
    torch.manual_seed(0)
    state, instant = folder / "resnet18.pth", folder / "instant.pt"
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), state)
    with warnings.catch_warnings(action="ignore"):
        torch.jit.script(Instant()).save(str(instant))  # type: ignore[no-untyped-call]
    resnet = settings(state, "resnet18", labels(folder, 1000))
    resnet["VISIONFLEET_MODEL__ARCHITECTURE"] = "resnet18"
    small = {"VISIONFLEET_MODEL__RESIZE": "32", "VISIONFLEET_MODEL__CROP": "32"}
    return {
        "default": {},
        "resnet18": resnet,
        "instant": settings(instant, "instant", labels(folder, 3)) | small,
    }


class Instant(torch.nn.Module):
    """Answers with the mean of each channel: no work worth measuring."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


def labels(folder: Path, count: int) -> Path:
    """Write a file with `count` labels."""
    path = folder / f"{count}.txt"
    path.write_text("".join(f"class {i}\n" for i in range(count)))
    return path


def settings(path: Path, name: str, names: Path) -> dict[str, str]:
    """The environment that makes a classifier load a file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "VISIONFLEET_MODEL__NAME": name,
        "VISIONFLEET_MODEL__PATH": str(path),
        "VISIONFLEET_MODEL__SHA256": f"'{digest}'",
        "VISIONFLEET_MODEL__LABELS": str(names),
    }
