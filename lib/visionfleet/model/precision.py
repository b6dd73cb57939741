"""Chooses the precision: the quickest one that answers as float32 does."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from visionfleet.errors import BadModel
from visionfleet.imaging.preprocess import Pixels

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
EXACT = "float32"

# Fewer pictures than this would say nothing of the agreement, however slow the model is.
_LEAST_PICTURES = 8
# Two classes whose probabilities in float32 differ by less than this are a tie: either may win.
TIE = 0.01
# Share of answers that a precision must have in common with float32: what is lost must not be seen.
AGREEMENT_FLOOR = 0.99
# A lower precision must be quicker by this to be worth its rounding.
_WORTH = 1.05

Run = Callable[[Sequence[Pixels]], Tensor]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one precision did: rows of probabilities, and its speed; or why it cannot be used."""

    probabilities: Tensor
    images_per_second: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A precision against float32: share of the same answers, largest probability difference."""

    images_per_second: float
    agreement: float
    difference: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The precision that is used, and what was measured of each; `images` is how many."""

    name: str
    measured: dict[str, Measured]
    images: int = 0


def candidates(asked: str, cuda: bool, bfloat16: bool, convertible: bool) -> tuple[str, ...]:
    """List what is worth a trial, float32 first; raises BadModel.

    `bfloat16`: the device multiplies it; `convertible`: the model has weights of floating point.
    """
    if asked == "float16" and not cuda:
        raise BadModel("model.precision: float16 is for GPUs; a processor takes bfloat16")
    if asked == EXACT or not convertible:
        return (EXACT,)
    if asked != "auto":
        return EXACT, asked
    return (EXACT, *["bfloat16"] * bfloat16, *["float16"] * cuda)


def choose(asked: str, floor: float, trials: dict[str, Trial]) -> Chosen:
    """Compare each trial with that of float32; raises BadModel when what was asked for differs."""
    exact = trials[EXACT]
    measured = {name: _compare(exact, trial) for name, trial in trials.items()}
    images = min(len(t.probabilities) for t in trials.values() if not t.fault)
    if asked not in {"auto", EXACT} and asked in measured:
        _refuse(asked, measured[asked], floor, images)
        return Chosen(asked, measured, images)
    fit = [n for n, m in measured.items() if not m.fault and m.agreement >= floor]
    best = max(fit, key=lambda name: measured[name].images_per_second)
    worth = measured[best].images_per_second >= _WORTH * exact.images_per_second
    return Chosen(best if worth else EXACT, measured, images)


def try_out(run: Run, batches: Iterable[Sequence[Pixels]], limit: float, clock: Clock) -> Trial:
    """Run the first batch to warm up and then all, at least two, while `limit` seconds last.

    The quickest counts. Raises RuntimeError when the model fails.
    """
    rows: list[Tensor] = []
    best, end = 0.0, 0.0
    for batch in batches:
        if not rows:
            run(batch)
            end = clock() + limit
        started = clock()
        if len(rows) >= max(2, _LEAST_PICTURES / len(batch)) and started >= end:
            break
        rows.append(run(batch))
        best = max(best, len(batch) / max(clock() - started, 1e-9))
    return Trial(torch.cat(rows), best)


def tell(chosen: Chosen) -> dict[str, object]:
    faults = [f"{name}: {m.fault}" for name, m in chosen.measured.items() if m.fault]
    return {
        "precision": chosen.name,
        "images_per_second": _each(chosen, lambda m: f"{m.images_per_second:.1f}"),
        "agreement": _each(chosen, lambda m: f"{m.agreement:.3f}"),
        "difference": _each(chosen, lambda m: f"{m.difference:.4f}"),
        "images": chosen.images,
    } | ({"refused": "; ".join(faults)} if faults else {})


def _each(chosen: Chosen, show: Callable[[Measured], str]) -> str:
    return ",".join(f"{name}:{show(m)}" for name, m in chosen.measured.items() if not m.fault)


def _compare(exact: Trial, trial: Trial) -> Measured:
    if trial.fault:
        return Measured(0.0, 0.0, 1.0, trial.fault)
    both = min(len(exact.probabilities), len(trial.probabilities))
    theirs, ours = trial.probabilities[:both], exact.probabilities[:both]
    named = ours.gather(1, theirs.argmax(dim=1, keepdim=True)).squeeze(1)
    agree = ours.max(dim=1).values - named <= TIE
    difference = (ours - theirs).abs().max()
    return Measured(trial.images_per_second, float(agree.float().mean()), float(difference))


def _refuse(asked: str, measured: Measured, floor: float, images: int) -> None:
    if measured.fault:
        raise BadModel(f"model.precision: {asked}: the model fails in it: {measured.fault}")
    if measured.agreement < floor:
        raise BadModel(
            f"model.precision: {asked} agrees with float32 on {measured.agreement:.1%} of "
            f"{images} pictures, at least {floor:.1%} is asked for; "
            "use float32 or auto"
        )
