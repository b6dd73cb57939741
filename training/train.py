"""Train the default model on CIFAR-10 and write its checkpoint, learning curves and accuracy.

The same seed on the same machine gives the same run: every epoch draws from a generator of its own,
so an interrupted training continues with --resume as if it had never stopped.
"""

import argparse
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from checkpoint import EVALUATION_BATCH, Trained, publish, scores, write_atomically
from cifar import (
    SIDE,
    Augmentation,
    Split,
    augmented,
    chosen,
    normalised,
    padded,
    parted,
    read_data,
)
from muon import Muon
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from visionfleet.model.architectures import WHITENED, ConvNet8
from visionfleet.model.device import multiplies_bfloat16

SETTLING_IMAGES = 2500
WHITENING_IMAGES = 2000
WARM_UP = 0.05  # of the run


@dataclass(frozen=True, slots=True)
class Recipe:
    """What decides the weights that come out, besides the data."""

    epochs: int
    seed: int
    first: int
    second: int
    third: int
    batch: int
    rate: float
    momentum: float
    adam_rate: float
    smoothing: float
    averaging: float
    hole: int
    small_side: int
    small_share: float
    held_out: int

    @property
    def widths(self) -> dict[str, int]:
        return {"first": self.first, "second": self.second, "third": self.third}


@dataclass(slots=True)
class Run:
    """A training under way: what the state file holds and --resume brings back."""

    network: nn.Module
    averaged: AveragedModel
    optimizers: list[torch.optim.Optimizer]
    history: list[dict[str, float]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="DIR|download")
    parser.add_argument("--out", type=Path, default=Path("models/cifar10.pt"))
    parser.add_argument("--epochs", type=int, default=56)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--second", type=int, default=160)
    parser.add_argument("--third", type=int, default=320)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rate", type=float, default=0.12, help="of the kernels (Muon)")
    parser.add_argument("--momentum", type=float, default=0.8)
    parser.add_argument("--adam-rate", type=float, default=4e-3, help="of biases and the head")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--averaging", type=float, default=0.99, help="decay of the mean weights")
    parser.add_argument("--hole", type=int, default=8, help="side of the square that is cut out")
    parser.add_argument("--small-side", type=int, default=24, help="of the images at first")
    parser.add_argument("--small-share", type=float, default=0.5, help="epochs with small images")
    parser.add_argument("--held-out", type=int, default=2500, help="images kept for calibration")
    parser.add_argument("--limit", type=int, help="use only so many images of each split")
    parser.add_argument("--start", type=Path, metavar="FILE", help="checkpoint to begin with")
    parser.add_argument("--resume", action="store_true", help="continue from the state file")
    return parser.parse_args()


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the processor multiplies it; elsewhere it would only be slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=multiplies_bfloat16(device))


def learning_rate(progress: float) -> float:
    """As a share of the peak: up in a straight line at first, then down in one to zero."""
    return min(0.1 + 0.9 * progress / WARM_UP, (1 - progress) / (1 - WARM_UP))


def whiten(convolution: nn.Conv2d, images: Tensor) -> None:
    """Fit the first layer to 2x2 patches: principal directions, each with its negative."""
    patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.double().T.cov())
    directions = (vectors / (values + 5e-4).sqrt()).T.float().reshape(WHITENED // 2, 3, 2, 2)
    convolution.weight.data.copy_(torch.cat([directions, -directions]))
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]


def fresh(network: ConvNet8, data: Split) -> None:
    """Fit the first layer; the others get as much of the identity as fits, to pass it all on."""
    some = chosen(len(data.images), WHITENING_IMAGES)
    whiten(network.whiten, normalised(data.images[some].cpu()))
    for part in network.stages.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.dirac_(part.weight.data[: part.in_channels])


def start_with(network: ConvNet8, recipe: Recipe, path: Path) -> None:
    """Take the weights of a checkpoint; its head too, where that is of as many classes.

    Raises SystemExit when there is no such file, or it is of another network.
    """
    if not path.exists():
        raise SystemExit(f"{path}: there is no checkpoint to begin with")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if (content["architecture"], content["options"]) != ("convnet8", recipe.widths):
        kind = f"{content['architecture']} {content['options']}"
        raise SystemExit(f"{path}: is a {kind}, not a convnet8 {recipe.widths}")
    weights = dict(content["state_dict"])
    if weights["head.weight"].shape != network.head.weight.shape:
        weights["head.weight"] = network.head.weight.data
    network.load_state_dict(weights)


def begin(recipe: Recipe, data: Split, device: torch.device, start: Path | None) -> Run:
    torch.manual_seed(recipe.seed)
    network = ConvNet8(len(data.labels), **recipe.widths)
    if start:
        start_with(network, recipe, start)
    else:
        fresh(network, data)
    network.whiten.weight.requires_grad_(False)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.requires_grad_(False)
    network = network.to(device).to(memory_format=torch.channels_last)
    averaging = get_ema_multi_avg_fn(recipe.averaging)  # type: ignore[no-untyped-call]
    averaged = AveragedModel(network, multi_avg_fn=averaging)
    return Run(network, averaged, optimizers(network, recipe), [])


def optimizers(network: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the kernels, Adam for the biases and the head."""
    learned = [weight for weight in network.parameters() if weight.requires_grad]
    kernels = [weight for weight in learned if weight.ndim == 4]
    others = [weight for weight in learned if weight.ndim != 4]
    adam = torch.optim.Adam(others, lr=recipe.adam_rate, betas=(0.9, 0.95))
    rated: list[torch.optim.Optimizer] = [Muon(kernels, recipe.rate, recipe.momentum), adam]
    for group in (group for optimizer in rated for group in optimizer.param_groups):
        group["peak"] = group["lr"]
    return rated


def augmentation(recipe: Recipe, count: int, epoch: int) -> Augmentation:
    """Mirror each image in every other epoch; small images first, for they teach more a second."""
    generator = torch.Generator().manual_seed(recipe.seed)
    flips = torch.rand(count, generator=generator) < 0.5
    small = epoch < recipe.small_share * recipe.epochs
    side = recipe.small_side if small else SIDE
    return Augmentation(flips ^ bool(epoch % 2), recipe.hole, side)


def train_epoch(run: Run, recipe: Recipe, data: Split, epoch: int) -> float:
    """One pass in random order; returns the mean loss."""
    how = augmentation(recipe, len(data.targets), epoch)
    generator = torch.Generator().manual_seed(recipe.seed * 100_003 + epoch)
    order = torch.randperm(len(data.targets), generator=generator)
    batches = torch.split(order, recipe.batch)
    losses = []
    run.network.train()
    for number, batch in enumerate(track(batches, description=f"epoch {epoch + 1}")):
        share = learning_rate((epoch + number / len(batches)) / recipe.epochs)
        images = augmented(data.images, batch, how, generator)
        losses.append(step(run, share, recipe.smoothing, images, data.targets[batch]))
    return sum(losses) / len(losses)


def step(run: Run, share: float, smoothing: float, images: Tensor, targets: Tensor) -> float:
    with mixed_precision(images.device):
        logits = run.network(images)
    loss = functional.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
    run.network.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak"]
        optimizer.step()
    run.averaged.update_parameters(run.network)
    return loss.item()


def settle_norms(averaged: AveragedModel, images: Tensor) -> None:
    """Measure the batch norms anew: averaged weights make other activations than any step's did."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    batches = torch.split(order[:SETTLING_IMAGES], EVALUATION_BATCH)
    with mixed_precision(images.device):
        update_bn((normalised(images[batch]) for batch in batches), averaged)


def accuracy(network: nn.Module, data: Split) -> float:
    with mixed_precision(data.images.device):
        right = scores(network, data.images).argmax(1) == data.targets
    return right.double().mean().item()


def lasting(recipe: Recipe) -> dict[str, float]:
    """What must not change from one part of a training to the next; only its end may be moved."""
    return {name: value for name, value in asdict(recipe).items() if name != "epochs"}


def save_state(run: Run, recipe: Recipe, path: Path) -> None:
    state = {
        "recipe": lasting(recipe),
        "network": run.network.state_dict(),
        "averaged": run.averaged.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
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
    for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    run.history.extend(state["history"])


def train(run: Run, recipe: Recipe, training: Split, held_out: Split, state: Path) -> None:
    data = Split(padded(training.images), training.targets, training.labels)
    for epoch in range(len(run.history), recipe.epochs):
        began, began_cpu = time.monotonic(), time.process_time()
        loss = train_epoch(run, recipe, data, epoch)
        settle_norms(run.averaged, training.images)
        row = {
            "loss": loss,
            "top1": accuracy(run.averaged, held_out),
            "seconds": time.monotonic() - began,
            "cpu_seconds": time.process_time() - began_cpu,
        }
        run.history.append(row)
        save_state(run, recipe, state)
        facts = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
        Console().print(f"epoch {epoch + 1}/{recipe.epochs}: {facts}", highlight=False)


def recipe_of(options: argparse.Namespace) -> Recipe:
    names = Recipe.__dataclass_fields__
    return Recipe(**{name: getattr(options, name) for name in names})


def main() -> None:
    options = arguments()
    recipe = recipe_of(options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    splits = read_data(options.data, options.limit)
    whole, test = (split.to(device) for split in splits)
    training, held_out = parted(whole, recipe.held_out)
    run = begin(recipe, training, device, options.start)
    state = options.out.with_suffix(".state.pt")
    if options.resume:
        load_state(run, recipe, state, device)
    train(run, recipe, training, held_out, state)
    weights = run.averaged.module.state_dict()
    trained = Trained(weights, recipe.widths, recipe.seed, run.history)
    publish(trained, held_out, test, options.out)


if __name__ == "__main__":
    main()
