"""Chooses runtime and precision: the cheapest that agrees with float32. No I/O here."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Pixels
from visionfleet.model.network import Floats

RuntimeName = Literal["torch", "openvino"]
PrecisionName = Literal["float32", "bfloat16", "float16", "int8"]


class Candidate(NamedTuple):
    runtime: RuntimeName
    precision: PrecisionName

    def __str__(self) -> str:
        return f"{self.runtime}-{self.precision}"


TORCH_FLOAT32 = Candidate("torch", "float32")
OPENVINO_FLOAT32 = Candidate("openvino", "float32")

# The fewest pictures for a meaningful agreement, however slow the model is.
_LEAST_PICTURES = 8
# The least share of answers equal to float32's.
AGREEMENT_FLOORS: dict[str, float] = {"int8": 0.97}
AGREEMENT_FLOOR = 0.99
# The most additional errors on labelled samples, as a share.
_LOST_SHARE = 0.005
# A lower precision must be faster by this factor.
_WORTH = 1.05
# int8 without the user's images: below so much CPU time per image in the other precisions, decoding
# and calls cost more than it saves, for more changed answers.
_INT8_SAVES_SECONDS = 0.004
# A lone image may take so long on one core, before several share its layers.
_ALONE_SECONDS = 0.05
# So much of float32's time on as many cores is spent on its calibration, which takes thrice that.
_CALIBRATION_SECONDS = 10.0

Run = Callable[[Sequence[Pixels]], Floats]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one candidate: rows of probabilities, and its speed; or why it is unusable."""

    probabilities: Floats
    images_per_second: float
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate compared with float32: share of equal answers, largest probability difference.

    `top1` is its accuracy on labelled samples, None without any.
    """

    images_per_second: float
    agreement: float
    difference: float
    fault: str = ""
    top1: float | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """The choice, and the measurements of each candidate on `images` pictures.

    `images_per_second` are for the `cores` of a worker, or a GPU.
    """

    runtime: RuntimeName
    precision: PrecisionName
    measured: Mapping[str, Measured] = field(default_factory=dict)
    images: int = 0
    device: str = "cpu"
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    runtime: str = "auto"
    precision: str = "auto"

    def allows(self, candidate: Candidate) -> bool:
        return self.runtime in {"auto", candidate.runtime} and self.precision in {
            "auto",
            candidate.precision,
        }


def candidates(
    asked: Asked, cuda: bool, bfloat16: bool, convertible: bool, openvino: bool, int8: bool
) -> tuple[Candidate, ...]:
    """The candidates worth a trial, torch in float32 first as the reference.

    `bfloat16`: the device multiplies it; `convertible`: the weights are floating point; `int8`: it
    is allowed. Raises BadModel.
    """
    if asked.precision == "float16" and not cuda:
        raise BadModel("model.precision: float16 is for GPUs; a processor takes bfloat16")
    if asked.runtime == "openvino" and not openvino:
        raise BadModel(
            "model.runtime: openvino is not installed on this machine; use auto or torch"
        )
    worth: list[PrecisionName] = ["float32"]
    if convertible:
        worth += ["bfloat16"] * (bfloat16 or asked.precision == "bfloat16")
        worth += ["float16"] * cuda
    found = [Candidate("torch", precision) for precision in worth]
    if openvino and not cuda:
        found += [Candidate("openvino", precision) for precision in worth]
        found += [Candidate("openvino", "int8")] * (convertible and int8)
    return (TORCH_FLOAT32, *(c for c in found if c != TORCH_FLOAT32 and asked.allows(c)))


def calibration_pictures(trials: Mapping[Candidate, Trial], threads: int) -> int:
    """The number of pictures that int8 is worth being calibrated on if nobody requested it."""
    best = max(trial.images_per_second for trial in trials.values())
    plain = trials.get(OPENVINO_FLOAT32)
    if plain is None or threads < _INT8_SAVES_SECONDS * best:
        return 0
    return int(_CALIBRATION_SECONDS * plain.images_per_second)


def choose(
    asked: Asked,
    trials: Mapping[Candidate, Trial],
    targets: Sequence[int] | None = None,
    device: str = "cpu",
    tie: float = 0.01,
) -> Chosen:
    """Compare each trial with the first; raises BadModel if none that was requested is usable.

    `targets` are the right classes, if known. Classes whose float32 probabilities differ by less
    than `tie` are tied: either may win.
    """
    exact = next(iter(trials.values()))
    measured = {name: _compare(exact, trial, targets, tie) for name, trial in trials.items()}
    images = min(len(t.probabilities) for t in trials.values() if not t.fault)
    reference = next(iter(measured.values()))
    wanted = {name: m for name, m in measured.items() if asked.allows(name)}
    fit = {n: m for n, m in wanted.items() if not _fault(n, m, reference, images)}
    if not fit:
        raise BadModel(_refusal(asked, wanted, reference, images))
    best = _cheapest(fit)
    told = {str(name): m for name, m in measured.items()}
    return Chosen(best.runtime, best.precision, told, images, device)


def _cheapest(fit: Mapping[Candidate, Measured]) -> Candidate:
    best = max(fit, key=lambda name: fit[name].images_per_second)
    plain = [name for name in fit if name.precision == "float32"]
    if not plain:
        return best
    quickest = max(plain, key=lambda name: fit[name].images_per_second)
    worth = fit[best].images_per_second >= _WORTH * fit[quickest].images_per_second
    return best if worth else quickest


def cores_of_part(chosen: Chosen, cores: int, batch_size: int) -> int:
    """How many of a worker's cores share an image of a batch: one, unless others were idle then, or
    a lone image took long.

    Unknown speeds, those of earlier releases' artefacts, count as fast.
    """
    fewest = math.ceil(cores / batch_size)
    measured = chosen.measured.get(str(Candidate(chosen.runtime, chosen.precision)))
    if measured is None or chosen.cores is None or not measured.images_per_second:
        return fewest
    alone_seconds = chosen.cores / measured.images_per_second
    return min(cores, max(fewest, math.ceil(alone_seconds / _ALONE_SECONDS)))


def try_out(run: Run, batches: Iterable[Sequence[Pixels]], limit: float, clock: Clock) -> Trial:
    """Run one batch as a warm-up, then all, but at least two, until `limit` seconds are over.

    The fastest batch counts. Raises RuntimeError if the model fails.
    """
    rows: list[Floats] = []
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
    return Trial(np.concatenate(rows), best)


def tell(chosen: Chosen) -> dict[str, object]:
    faults = [f"{name}: {m.fault}" for name, m in chosen.measured.items() if m.fault]
    return {
        "runtime": chosen.runtime,
        "precision": chosen.precision,
        "images_per_second": _each(chosen, lambda m: f"{m.images_per_second:.1f}"),
        "agreement": _each(chosen, lambda m: f"{m.agreement:.3f}"),
        "difference": _each(chosen, lambda m: f"{m.difference:.4f}"),
        "images": chosen.images,
        "device": chosen.device,
    } | ({"refused": "; ".join(faults)} if faults else {})


def _each(chosen: Chosen, show: Callable[[Measured], str]) -> str:
    return ",".join(f"{name}:{show(m)}" for name, m in chosen.measured.items() if not m.fault)


def _compare(exact: Trial, trial: Trial, targets: Sequence[int] | None, tie: float) -> Measured:
    if trial.fault:
        return Measured(0.0, 0.0, 1.0, trial.fault)
    both = min(len(exact.probabilities), len(trial.probabilities))
    theirs, ours = trial.probabilities[:both], exact.probabilities[:both]
    answers = theirs.argmax(axis=1)
    named = ours[np.arange(both), answers]
    agreement = float((ours.max(axis=1) - named <= tie).mean())
    difference = float(np.abs(ours - theirs).max())
    top1 = None if targets is None else float((answers == np.array(targets[:both])).mean())
    return Measured(trial.images_per_second, agreement, difference, top1=top1)


def _fault(name: Candidate, found: Measured, reference: Measured, images: int) -> str:
    """Why a candidate is unusable; empty if it is usable."""
    floor = AGREEMENT_FLOORS.get(name.precision, AGREEMENT_FLOOR)
    if found.fault:
        return f"{name.precision}: the model fails in it: {found.fault}"
    if found.agreement < floor:
        return (
            f"{name.precision} agrees with float32 on {found.agreement:.1%} of "
            f"{images} pictures, at least {floor:.1%} is asked for"
        )
    if found.top1 is not None and reference.top1 is not None:
        lost = reference.top1 - found.top1
        if lost > _LOST_SHARE:
            return f"{name.precision} loses {lost:.1%} of the right answers of float32"
    return ""


def _refusal(
    asked: Asked, wanted: Mapping[Candidate, Measured], reference: Measured, images: int
) -> str:
    setting = "model.precision" if asked.precision != "auto" else "model.runtime"
    if not wanted:
        return f"{setting}: {asked.runtime} cannot do {asked.precision} on this machine"
    faults = "; ".join(
        f"{name.runtime}: {_fault(name, m, reference, images)}"
        if asked.runtime == "auto"
        else _fault(name, m, reference, images)
        for name, m in wanted.items()
    )
    return f"{setting}: {faults}; use float32 or auto"
