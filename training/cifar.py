"""CIFAR-10 as tensors: read from JPEGs in class folders or downloaded, and augmented."""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.nn import functional

SIDE = 32
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
PADDING = 4


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N,H,W,3, uint8), their class numbers (N) and the names of the classes."""

    images: Tensor
    targets: Tensor
    labels: list[str]

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.targets.to(device), self.labels)

    def where(self, mask: Tensor) -> "Split":
        return Split(self.images[mask], self.targets[mask], self.labels)


def prepare(image: Image.Image) -> Image.Image:
    """Convert to RGB, shrink the shorter side and cut out the centre, as the card says."""
    image = image.convert("RGB")
    if min(image.size) != SIDE:
        scale = SIDE / min(image.size)
        width, height = (max(SIDE, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return image.crop((left, top, left + SIDE, top + SIDE))


def as_split(examples: Iterable[tuple[Image.Image, str]], labels: list[str]) -> Split:
    pixels, targets = bytearray(), list[int]()
    for image, label in examples:
        pixels += prepare(image).tobytes()
        targets.append(labels.index(label))
    images = torch.frombuffer(pixels, dtype=torch.uint8).reshape(-1, SIDE, SIDE, 3)
    return Split(images, torch.tensor(targets), labels)


def chosen(count: int, limit: int | None) -> list[int]:
    """Spread the limit evenly over the images, so that every class keeps its share."""
    kept = min(count, limit or count)
    return [number * count // kept for number in range(kept)]


def read_zip(path: Path, limit: int | None) -> Split:
    """Decode the images of a zip; the folder an image lies in is its class."""
    if not path.exists():
        raise SystemExit(f"{path}: no such file; --data names the folder of train.zip and test.zip")
    with zipfile.ZipFile(path) as archive:
        names = sorted(n for n in archive.namelist() if n.lower().endswith((".jpg", ".jpeg")))
        labels = sorted({Path(name).parent.name for name in names})
        kept = [names[number] for number in chosen(len(names), limit)]
        examples = (
            (Image.open(io.BytesIO(archive.read(name))), Path(name).parent.name)
            for name in track(kept, description=f"decode {path.name}")
        )
        return as_split(examples, labels)


def download(train: bool, limit: int | None) -> Split:
    """Fetch CIFAR-10 with torchvision, which checks its digest."""
    from torchvision.datasets import CIFAR10

    root = Path.home() / ".cache" / "cifar10"
    try:
        data = CIFAR10(root=root, train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise SystemExit(f"CIFAR-10 could not be downloaded to {root}: {error}") from error
    numbers = chosen(len(data), limit)
    examples = ((data[number][0], data.classes[data[number][1]]) for number in numbers)
    return as_split(examples, list(data.classes))


def read_data(source: str, limit: int | None) -> tuple[Split, Split]:
    if source == "download":
        return download(True, limit), download(False, limit)
    folder = Path(source)
    train, test = (read_zip(folder / f"{name}.zip", limit) for name in ("train", "test"))
    if train.labels != test.labels:
        raise SystemExit(f"{folder}: train.zip and test.zip do not have the same classes")
    return train, test


def parted(split: Split, count: int) -> tuple[Split, Split]:
    """Set `count` images aside, spread evenly over the split; returns the others and these."""
    aside = torch.zeros(len(split.targets), dtype=torch.bool)
    aside[chosen(len(split.targets), count)] = True
    return split.where(~aside), split.where(aside)


def padded(images: Tensor) -> Tensor:
    """Mirror the borders once, so that a random crop is a mere choice of rows and columns."""
    planes = images.permute(0, 3, 1, 2).contiguous()
    edges = torch.arange(-PADDING, SIDE + PADDING, device=images.device).abs()
    mirrored = torch.where(edges < SIDE, edges, 2 * (SIDE - 1) - edges)
    return planes[:, :, mirrored][:, :, :, mirrored].permute(0, 2, 3, 1).contiguous()


def normalised(images: Tensor) -> Tensor:
    """N,H,W,3 uint8 -> N,3,H,W float32 in the channels-last layout that convolutions like."""
    mean = torch.tensor(MEAN, device=images.device)
    std = torch.tensor(STD, device=images.device)
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)


def holes(count: int, hole: int, generator: torch.Generator) -> Tensor:
    """N,1,H,W: false inside one random square per image."""
    start = torch.randint(-hole // 2, SIDE - hole // 2, (2, count, 1), generator=generator)
    line = torch.arange(SIDE)
    inside = (line >= start) & (line < start + hole)
    return ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How images of one epoch are changed: `flips` (one per image) mirrors, `side` shrinks."""

    flips: Tensor
    hole: int
    side: int


def augmented(
    images: Tensor, numbers: Tensor, how: Augmentation, generator: torch.Generator
) -> Tensor:
    """Crop, flip, punch and shrink the chosen ones of the padded images: N,3,side,side float32."""
    count, line = len(numbers), torch.arange(SIDE)
    offset = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator)
    rows = offset[0] + line
    columns = offset[1] + torch.where(how.flips[numbers][:, None], line.flip(0), line)
    place = (numbers[:, None, None], rows[:, :, None], columns[:, None, :])
    batch = normalised(images[tuple(index.to(images.device) for index in place)])
    if how.hole:
        batch = batch * holes(count, how.hole, generator).to(images.device)
    if how.side == SIDE:
        return batch
    shrunk = functional.interpolate(batch, size=how.side, mode="bilinear", antialias=True)
    return shrunk.contiguous(memory_format=torch.channels_last)
