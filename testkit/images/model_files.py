"""Model files of every kind, made on the spot, and settings that name them."""

import hashlib
import io
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from testkit.images.leaves import pictures
from visionfleet.config.classifier import ModelSection
from visionfleet.model import artefact
from visionfleet.model.building import encoded
from visionfleet.model.choice import Asked
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded
from visionfleet.model.open import opened
from visionfleet.model.samples import Samples
from visionfleet.model.trials import Contest, compete

LABELS = ["red", "green", "blue"]


class Colours(nn.Module):
    """Answers with the strongest channel; a norm is in it, as in real networks."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.convolution.weight.data.copy_(torch.eye(3).view(3, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.norm(self.convolution(images)).mean(dim=(2, 3))
        return found


def torchscript() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.jit.save(torch.jit.script(Colours().eval()), buffer)
    return buffer.getvalue()


def exported(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
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


def at_work(
    loaded: Loaded, batch_size: int, threads: int, precision: str = "auto", runtime: str = "torch"
) -> Inference:
    """Try a model as the making of its artefact does; open the artefact if there is a file."""
    contest = tried(loaded, batch_size, threads, precision, runtime)
    if not loaded.source:
        return Inference(contest.network, loaded, contest.chosen)
    found = artefact.open_bytes(encoded(loaded, contest, "this one"), "its artefact")
    return opened(found, ModelSection(), threads)


def made(loaded: Loaded) -> bytes:
    """An artefact, on torch in float32."""
    return encoded(loaded, tried(loaded, 1, 1, "float32", "torch"), "this one")


def tried(loaded: Loaded, batch_size: int, threads: int, precision: str, runtime: str) -> Contest:
    drawn = list(islice(pictures(loaded.preprocessing.crop), 64))
    samples = Samples(drawn, drawn)
    asked = Asked(runtime, precision)
    return compete(
        loaded, asked, samples, batch_size, threads, bfloat16=True, int8=precision == "int8"
    )
