"""Train the default model on CIFAR-10 and write its checkpoint, learning curves and accuracy.

The same seed on the same machine gives the same run: every epoch draws from a generator of its own,
so an interrupted training continues with --resume as if it had never stopped.
"""

import argparse
import io
import math
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from visionfleet.model.network import build

ARCHITECTURE = "resnet9"
SIDE = 32
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
PADDING = 4
HOLE = 8
EVALUATION_BATCH = 500
SETTLING_IMAGES = 5000


@dataclass(frozen=True, slots=True)
class Split:
    """Images (N,H,W,3, uint8), their class numbers (N) and the names of the classes."""

    images: Tensor
    targets: Tensor
    labels: list[str]

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.targets.to(device), self.labels)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the weights that come out, besides the data."""

    epochs: int
    seed: int
    width: int
    batch: int
    peak_rate: float
    weight_decay: float
    smoothing: float
    averaging: float


@dataclass(slots=True)
class Run:
    """A training under way: what the state file holds and --resume brings back."""

    network: nn.Module
    averaged: AveragedModel
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR|download")
    parser.add_argument("--out", type=Path, default=Path("models/cifar10.pt"))
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--peak-rate", type=float, default=0.2)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--averaging", type=float, default=0.99, help="decay of the mean weights")
    parser.add_argument("--limit", type=int, help="use only so many images of each split")
    parser.add_argument("--resume", action="store_true", help="continue from the state file")
    return parser.parse_args()


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


def holes(count: int, generator: torch.Generator) -> Tensor:
    """N,1,H,W: false inside one random square per image."""
    start = torch.randint(-HOLE // 2, SIDE - HOLE // 2, (2, count, 1), generator=generator)
    line = torch.arange(SIDE)
    inside = (line >= start) & (line < start + HOLE)
    return ~(inside[0][:, None, :, None] & inside[1][:, None, None, :])


def augmented(images: Tensor, numbers: Tensor, generator: torch.Generator) -> Tensor:
    """Crop, flip and punch the chosen ones of the padded images: N,3,H,W float32."""
    count, line = len(numbers), torch.arange(SIDE)
    offset = torch.randint(0, 2 * PADDING + 1, (2, count, 1), generator=generator)
    flip = torch.rand(count, 1, generator=generator) < 0.5
    rows = offset[0] + line
    columns = offset[1] + torch.where(flip, line.flip(0), line)
    place = (numbers[:, None, None], rows[:, :, None], columns[:, None, :])
    batch = images[tuple(index.to(images.device) for index in place)]
    return normalised(batch) * holes(count, generator).to(images.device)


def learning_rate(progress: float, peak: float) -> float:
    """One cycle: up in a straight line for a quarter of the run, down in half a cosine."""
    if progress < 0.25:
        return peak * (0.05 + 0.95 * progress / 0.25)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - 0.25) / 0.75))


def weight_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decay the matrices and kernels only; norms and biases keep their size."""
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def begin(recipe: Recipe, classes: int, device: torch.device) -> Run:
    torch.manual_seed(recipe.seed)
    network = build(ARCHITECTURE, {"width": recipe.width}, classes).to(device)
    network = network.to(memory_format=torch.channels_last)
    averaging = get_ema_multi_avg_fn(recipe.averaging)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=averaging)
    groups = weight_groups(network, recipe.weight_decay)
    optimizer = torch.optim.SGD(groups, lr=recipe.peak_rate, momentum=0.9, nesterov=True)
    return Run(network, averaged, optimizer, [])


def train_epoch(run: Run, recipe: Recipe, data: Split, epoch: int) -> float:
    """One pass in random order; returns the mean loss."""
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(len(data.targets), generator=generator)
    batches = torch.split(order, recipe.batch)
    losses = []
    run.network.train()
    for number, batch in enumerate(track(batches, description=f"epoch {epoch + 1}")):
        rate = learning_rate((epoch + number / len(batches)) / recipe.epochs, recipe.peak_rate)
        images = augmented(data.images, batch, generator)
        losses.append(step(run, rate, recipe.smoothing, images, data.targets[batch]))
    return sum(losses) / len(losses)


def step(run: Run, rate: float, smoothing: float, images: Tensor, targets: Tensor) -> float:
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    with torch.autocast(images.device.type, torch.bfloat16):
        logits = run.network(images)
    loss = functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimizer.step()
    run.averaged.update_parameters(run.network)
    return loss.item()


def settle_norms(averaged: AveragedModel, images: Tensor) -> None:
    """Measure the batch norms anew: averaged weights make other activations than any step's did."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    batches = torch.split(order[:SETTLING_IMAGES], EVALUATION_BATCH)
    with torch.autocast(images.device.type, torch.bfloat16):
        update_bn((normalised(images[batch]) for batch in batches), averaged)


@torch.inference_mode()
def predictions(network: nn.Module, images: Tensor) -> Tensor:
    """The class numbers that the network gives to uint8 images, in whatever precision is on."""
    network.eval()
    parts = [network(normalised(part)).argmax(1) for part in torch.split(images, EVALUATION_BATCH)]
    return torch.cat(parts)


def accuracy(network: nn.Module, data: Split) -> float:
    with torch.autocast(data.images.device.type, torch.bfloat16):
        return (predictions(network, data.images) == data.targets).double().mean().item()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    write(unfinished)
    unfinished.replace(path)


def lasting(recipe: Recipe) -> dict[str, float]:
    """What must not change from one part of a training to the next; only its end may be moved."""
    return {name: value for name, value in asdict(recipe).items() if name != "epochs"}


def save_state(run: Run, recipe: Recipe, path: Path) -> None:
    state = {
        "recipe": lasting(recipe),
        "network": run.network.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "history": run.history,
    }
    write_atomically(path, lambda unfinished: torch.save(state, unfinished))


def load_state(run: Run, recipe: Recipe, path: Path, device: torch.device) -> None:
    if not path.exists():
        raise SystemExit(f"{path}: there is no state to resume from")
    state = torch.load(path, map_location=device, weights_only=True)
    if state["recipe"] != lasting(recipe):
        raise SystemExit(f"{path}: was begun with other settings: {state['recipe']}")
    run.network.load_state_dict(state["network"])
    run.averaged.load_state_dict(state["averaged"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.history.extend(state["history"])


def train(run: Run, recipe: Recipe, training: Split, test: Split, state: Path) -> None:
    data = Split(padded(training.images), training.targets, training.labels)
    for epoch in range(len(run.history), recipe.epochs):
        began = time.monotonic()
        loss = train_epoch(run, recipe, data, epoch)
        settle_norms(run.averaged, training.images)
        top1 = accuracy(run.averaged, test)
        seconds = time.monotonic() - began
        run.history.append({"loss": loss, "top1": top1, "seconds": seconds})
        save_state(run, recipe, state)
        facts = f"loss {loss:.4f}, top-1 {top1:.4f}, {seconds:.0f} s"
        Console().print(f"epoch {epoch + 1}/{recipe.epochs}: {facts}", highlight=False)


def compact(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Kernels in half precision; the few numbers of the norms stay exact."""
    return {
        name: (value.half() if value.ndim > 1 else value).cpu().contiguous()
        for name, value in weights.items()
    }


def checkpoint(run: Run, recipe: Recipe, labels: list[str]) -> dict[str, Any]:
    return {
        "format": "visionfleet-checkpoint/1",
        "name": "cifar10",
        "architecture": ARCHITECTURE,
        "options": {"width": recipe.width},
        "state_dict": compact(run.averaged.module.state_dict()),
        "labels": labels,
        "preprocessing": {
            "resize": SIDE,
            "crop": SIDE,
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bilinear",
        },
        "licence": "MIT",
    }


def restored(content: dict[str, Any]) -> nn.Module:
    network = build(content["architecture"], content["options"], len(content["labels"]))
    network.load_state_dict(content["state_dict"])
    return network


def measured(content: dict[str, Any], test: Split) -> dict[str, Any]:
    """Accuracy of the stored weights in float32 on the CPU, as they will be served."""
    right = predictions(restored(content), test.images.cpu()) == test.targets.cpu()
    per_class = {
        label: right[test.targets.cpu() == number].double().mean().item()
        for number, label in enumerate(test.labels)
    }
    return {
        "top1": right.double().mean().item(),
        "test_images": len(right),
        "per_class": per_class,
    }


def draw(history: list[dict[str, float]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        Console().print("no learning curves: matplotlib is not installed")
        return
    epochs = range(1, len(history) + 1)
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    left.plot(epochs, [row["loss"] for row in history], color="tab:red", marker=".")
    left.set(xlabel="epoch", ylabel="training loss (augmented, smoothed)")
    right = left.twinx()
    right.plot(epochs, [100 * row["top1"] for row in history], color="tab:blue", marker=".")
    right.set(ylabel="test top-1, % (averaged weights)")
    figure.savefig(path, dpi=110)


def publish(run: Run, recipe: Recipe, test: Split, out: Path) -> None:
    content = checkpoint(run, recipe, test.labels)
    metrics = measured(content, test) | {"epochs": len(run.history), "seed": recipe.seed}
    content["metrics"] = metrics
    write_atomically(out, lambda unfinished: torch.save(content, unfinished))
    draw(run.history, out.with_suffix(".png"))
    for label, share in metrics["per_class"].items():
        Console().print(f"{label:>12} {share:.4f}", highlight=False)
    parameters = sum(weight.numel() for weight in run.network.parameters())
    facts = f"{out.stat().st_size} bytes, {parameters} parameters, top-1 {metrics['top1']:.4f}"
    Console().print(f"{out}: {facts}", highlight=False, soft_wrap=True)


def recipe_of(options: argparse.Namespace) -> Recipe:
    names = Recipe.__dataclass_fields__
    return Recipe(**{name: getattr(options, name) for name in names})


def main() -> None:
    options = arguments()
    recipe = recipe_of(options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    splits = read_data(options.data, options.limit)
    training, test = (split.to(device) for split in splits)
    run = begin(recipe, len(training.labels), device)
    state = options.out.with_suffix(".state.pt")
    if options.resume:
        load_state(run, recipe, state, device)
    train(run, recipe, training, test, state)
    publish(run, recipe, test, options.out)


if __name__ == "__main__":
    main()
