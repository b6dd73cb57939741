"""Models for tests: TorchScript files that need no training."""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn


class Table(nn.Module):
    """Looks an image up: the nearest of the rows wins, so a known image always finds its own."""

    def __init__(self, rows: Tensor, busy_rounds: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(rows, requires_grad=False)
        self.half_squares = nn.Parameter(rows.square().sum(dim=1) / 2, requires_grad=False)
        self.busy_rounds = busy_rounds

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        waste = torch.zeros(512, 512)
        rounds = self.busy_rounds * images.shape[0]
        red, green, blue = images[:, 0], images[:, 1], images[:, 2]
        magenta = bool((red > 0.9).all()) and bool((blue > 0.9).all()) and bool((green < 0.1).all())
        if magenta:
            rounds = 1000000000  # such a batch is worked on for ever
        for _ in range(rounds):
            waste = waste @ waste
        return flat @ self.rows.t() - self.half_squares + waste[0, 0]


def table_model(
    folder: Path, pictures: Sequence[Image.Image], labels: Sequence[str], busy_rounds: int = 0
) -> dict[str, str]:
    """Write a table look-up model for square pictures of one size.

    `busy_rounds` makes it slow: one is a product of 512 x 512 matrices per image, some
    milliseconds. Returns the environment that makes a classifier load it.
    """
    side = pictures[0].width
    pixels = np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    rows = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).flatten(1)
    path, names = folder / "table.pt", folder / "table.txt"
    with warnings.catch_warnings(action="ignore"):  # TorchScript is what users bring, old or not
        torch.jit.script(Table(rows, busy_rounds)).save(str(path))  # type: ignore[no-untyped-call]
    names.write_text("\n".join(labels) + "\n")
    return {
        "VISIONFLEET_MODEL__NAME": "table",
        "VISIONFLEET_MODEL__PATH": str(path),
        "VISIONFLEET_MODEL__SHA256": f"'{hashlib.sha256(path.read_bytes()).hexdigest()}'",
        "VISIONFLEET_MODEL__LABELS": str(names),
        "VISIONFLEET_MODEL__RESIZE": str(side),
        "VISIONFLEET_MODEL__CROP": str(side),
        "VISIONFLEET_MODEL__MEAN": "[0, 0, 0]",
        "VISIONFLEET_MODEL__STD": "[1, 1, 1]",
        # A trial would be of no use here, and the slow ones would be long at it.
        "VISIONFLEET_MODEL__RUNTIME": "torch",
        "VISIONFLEET_MODEL__PRECISION": "float32",
    }
