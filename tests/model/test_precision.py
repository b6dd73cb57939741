"""How the precision of a model is chosen, from given measurements and with real models."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testkit.images.model_files import at_work
from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.choice import (
    Asked,
    Candidate,
    PrecisionName,
    Trial,
    calibration_pictures,
    candidates,
    choose,
    tell,
    try_out,
)
from visionfleet.model.loaded import Loaded
from visionfleet.model.network import Floats
from visionfleet.model.samples import built_in
from visionfleet.model.trials import compete

pytestmark = pytest.mark.needs_torch

# asked for, on a GPU, bfloat16 in hardware, weights that can be converted: what is tried of torch
CANDIDATES = {
    "auto on a processor with bfloat16": ("auto", False, True, True, ("float32", "bfloat16")),
    "auto on one without: nothing to try": ("auto", False, False, True, ("float32",)),
    "auto on a GPU": ("auto", True, True, True, ("float32", "bfloat16", "float16")),
    "auto on an old GPU": ("auto", True, False, True, ("float32", "float16")),
    "a quantised model keeps its own": ("auto", False, True, False, ("float32",)),
    "float32 needs no trial": ("float32", True, True, True, ("float32",)),
    "one requested, though it is slow": ("bfloat16", False, False, True, ("float32", "bfloat16")),
    "float16 on a GPU": ("float16", True, True, True, ("float32", "float16")),
}


@pytest.mark.parametrize(
    ("asked", "cuda", "bfloat16", "convertible", "found"), CANDIDATES.values(), ids=CANDIDATES
)
def test_precision_candidates_depend_on_the_device(
    asked: str, cuda: bool, bfloat16: bool, convertible: bool, found: tuple[PrecisionName, ...]
) -> None:
    names = candidates(Asked("torch", asked), cuda, bfloat16, convertible, True, True)
    assert names == tuple(Candidate("torch", name) for name in found)


# asked for: runtime, precision; OpenVINO is there, int8 may be tried: what is tried beside torch's
BOTH = {
    "all": ("auto", "auto", True, True, "ttooo"),
    "all but int8": ("auto", "auto", True, False, "ttoo"),
    "no OpenVINO": ("auto", "auto", False, True, "tt"),
    "OpenVINO alone, and what it is compared with": ("openvino", "auto", True, True, "tooo"),
    "one precision of both": ("auto", "bfloat16", True, True, "tto"),
    "int8": ("auto", "int8", True, True, "to"),
}


@pytest.mark.parametrize(
    ("runtime", "precision", "there", "int8", "found"), BOTH.values(), ids=BOTH
)
def test_runtimes_are_tried_as_asked(
    runtime: str, precision: str, there: bool, int8: bool, found: str
) -> None:
    names = candidates(Asked(runtime, precision), False, True, True, there, int8)
    assert "".join(name.runtime[0] for name in names) == found


def test_what_a_machine_cannot_do_is_refused() -> None:
    with pytest.raises(BadModel, match="float16 is for GPUs"):
        candidates(Asked("auto", "float16"), False, True, True, True, False)
    with pytest.raises(BadModel, match="openvino is not installed"):
        candidates(Asked("openvino", "auto"), False, True, True, False, False)


FLOAT32 = Candidate("torch", "float32")
BFLOAT16 = Candidate("torch", "bfloat16")
FLOAT16 = Candidate("torch", "float16")
INT8 = Candidate("openvino", "int8")
OTHER = Candidate("openvino", "float32")
SURE = np.array([[0.9, 0.1]] * 100, np.float32)


def trial(speed: float, wrong: int = 0, fault: str = "") -> Trial:
    """Answers of a candidate: the first `wrong` of a hundred pictures get the other class."""
    rows = SURE.copy()
    rows[:wrong] = (0.2, 0.8)
    return Trial(rows, speed, fault)


# asked for, trials beside that of float32 at 10 images/s: what is taken
CHOICES: dict[str, tuple[str, dict[Candidate, Trial], Candidate]] = {
    "the quicker one": ("auto", {BFLOAT16: trial(20)}, BFLOAT16),
    "the quickest of three": ("auto", {BFLOAT16: trial(20), FLOAT16: trial(30)}, FLOAT16),
    "float32 when it is the quicker one": ("auto", {BFLOAT16: trial(9)}, FLOAT32),
    "float32 when nothing is won": ("auto", {BFLOAT16: trial(10.4)}, FLOAT32),
    "at the floor": ("auto", {BFLOAT16: trial(20, wrong=1)}, BFLOAT16),
    "float32 below the floor": ("auto", {BFLOAT16: trial(20, wrong=2)}, FLOAT32),
    "the next one when the quickest is below the floor": (
        "auto",
        {BFLOAT16: trial(20), FLOAT16: trial(30, wrong=2)},
        BFLOAT16,
    ),
    "float32 when the model fails": ("auto", {BFLOAT16: trial(0, fault="no")}, FLOAT32),
    "an order, though slower": ("bfloat16", {BFLOAT16: trial(5)}, BFLOAT16),
    "the other runtime in float32": ("auto", {OTHER: trial(11)}, OTHER),
    "a runtime whose float32 is wrong is left": ("auto", {OTHER: trial(99, wrong=9)}, FLOAT32),
    "bfloat16 where the other float32 is as quick": (
        "auto",
        {BFLOAT16: trial(20), OTHER: trial(19.5)},
        OTHER,
    ),
    "int8 may differ more": ("auto", {BFLOAT16: trial(20), INT8: trial(30, wrong=3)}, INT8),
    "but not so much": ("auto", {BFLOAT16: trial(20), INT8: trial(30, wrong=4)}, BFLOAT16),
}


@pytest.mark.parametrize(("asked", "others", "name"), CHOICES.values(), ids=CHOICES)
def test_cheapest_that_agrees_is_chosen(
    asked: str, others: dict[Candidate, Trial], name: Candidate
) -> None:
    chosen = choose(Asked("auto", asked), {FLOAT32: trial(10)} | others)
    assert (chosen.runtime, chosen.precision) == name
    assert chosen.measured[str(FLOAT32)].agreement == 1.0
    assert chosen.images == 100


def test_labelled_samples_bound_what_is_lost() -> None:
    targets = [0] * 100
    for wrong, runtime in ((0, "openvino"), (1, "torch")):
        trials = {FLOAT32: trial(10), INT8: trial(30, wrong)}
        assert choose(Asked(), trials, targets).runtime == runtime


# images per second of OpenVINO in float32, and of the quickest; pictures to calibrate on
CALIBRATIONS = {
    "a model that takes 8 ms": (130, 250, 1300),
    "one that takes 4 ms": (200, 500, 2000),
    "one where decoding costs more": (400, 501, 0),
    "one that is slow": (3, 5, 30),
}


@pytest.mark.parametrize(("plain", "best", "expected"), CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_int8_is_worth_it_for_large_models(plain: float, best: float, expected: int) -> None:
    trials = {FLOAT32: trial(10), BFLOAT16: trial(best), OTHER: trial(plain)}
    assert calibration_pictures(trials, 2) == expected


def test_int8_needs_openvino() -> None:
    assert calibration_pictures({FLOAT32: trial(10)}, 2) == 0
    trials = {FLOAT32: trial(10), OTHER: trial(0, fault="cannot be converted")}
    assert calibration_pictures(trials, 2) == 0


@pytest.mark.parametrize(
    ("least_seconds", "installed", "tried"),
    [(0.0, True, True), (60.0, True, False), (0.0, False, False)],
    ids=["a costly model", "a cheap model", "without NNCF"],
)
def test_int8_is_tried_without_samples(
    least_seconds: float,
    installed: bool,
    tried: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("visionfleet.model.choice._INT8_SAVES_SECONDS", least_seconds)
    monkeypatch.setattr("visionfleet.model.openvino_library.can_quantise", lambda: installed)
    model = loaded(Scores())
    crops = built_in(model.preprocessing)
    samples = replace(crops, compared=crops.compared[:32], fitted=crops.fitted[:32])
    found = compete(model, Asked(), samples, 8, 1, bfloat16=False, int8=True).chosen
    assert ("openvino-int8" in found.measured) is tried
    assert not any(measured.fault for measured in found.measured.values())
    assert capsys.readouterr().out == ""


def test_configured_precision_below_the_floor_is_refused() -> None:
    with pytest.raises(BadModel, match=r"bfloat16 agrees with float32 on 97.0% of 100 pictures"):
        choose(Asked("torch", "bfloat16"), {FLOAT32: trial(10), BFLOAT16: trial(20, wrong=3)})


def test_configured_precision_that_fails_is_refused() -> None:
    trials = {FLOAT32: trial(10), BFLOAT16: trial(0, fault="no kernel")}
    with pytest.raises(BadModel, match="bfloat16: the model fails in it: no kernel"):
        choose(Asked("auto", "bfloat16"), trials)


def test_precision_may_break_near_ties_of_float32() -> None:
    exact = Trial(np.array([[0.4, 0.395, 0.205], [0.5, 0.48, 0.02]], np.float32), 10)
    other = Trial(np.array([[0.39, 0.40, 0.21], [0.49, 0.50, 0.01]], np.float32), 20)
    trials = {FLOAT32: exact, BFLOAT16: other}
    assert choose(Asked(), trials, tie=0.03).measured["torch-bfloat16"].agreement == 1
    measured = choose(Asked(), trials).measured["torch-bfloat16"]
    assert measured.agreement == 0.5
    assert measured.difference == pytest.approx(0.02)


def test_precision_log_has_each_speed_and_failure() -> None:
    trials = {FLOAT32: trial(10), BFLOAT16: trial(25), INT8: trial(0, fault="no kernel")}
    fields = tell(choose(Asked(), trials))
    assert (fields["runtime"], fields["precision"]) == ("torch", "bfloat16")
    assert fields["images_per_second"] == "torch-float32:10.0,torch-bfloat16:25.0"
    assert fields["agreement"] == "torch-float32:1.000,torch-bfloat16:1.000"
    assert fields["refused"] == "openvino-int8: no kernel"


def batches(sizes: Sequence[int]) -> list[list[Pixels]]:
    return [[np.zeros((1, 1, 3), np.uint8)] * size for size in sizes]


def test_benchmark_takes_the_best_batch_after_warm_up() -> None:
    times = count(0.0, 1.0)  # each look at the clock is a second later
    ran: list[int] = []

    def run(batch: Sequence[Pixels]) -> Floats:
        ran.append(len(batch))
        return np.zeros((len(batch), 2), np.float32)

    found = try_out(run, batches([8, 8, 8, 8]), 3.0, lambda: next(times))
    assert ran == [8, 8, 8]  # one to warm up, two at the least, then the time was over
    assert (len(found.probabilities), found.images_per_second) == (16, 8.0)


def test_benchmark_tries_slow_models_on_enough_images() -> None:
    times = count(0.0, 1.0)

    def run(batch: Sequence[Pixels]) -> Floats:
        return np.zeros((len(batch), 2), np.float32)

    found = try_out(run, batches([1] * 20), 0.0, lambda: next(times))
    assert len(found.probabilities) == 8


class Scores(nn.Module):
    """Ten scores of an image; `offset` is added and taken away again, which rounds them."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 10, 5)
        self.offset = offset

    def forward(self, images: Tensor) -> Tensor:
        means = torch.mean(self.convolution(images), dim=(2, 3))
        return (3 * means + self.offset) - self.offset


def loaded(module: nn.Module) -> Loaded:
    how = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))
    info = ModelInfo(name="scores", fingerprint="0")
    return Loaded(module.eval(), tuple("abcdefghij"), how, info)


def test_model_that_bfloat16_breaks_stays_in_float32() -> None:
    # At 1024 bfloat16 has steps of 8: the scores that remain are multiples of it.
    broken = Scores(offset=1024.0)
    with pytest.raises(BadModel, match=r"at least 99.0% is asked for"):
        at_work(loaded(broken), 4, 1, "bfloat16")
    model = at_work(loaded(broken), 4, 1)
    assert model.precision.precision == "float32"
    assert model.precision.measured["torch-bfloat16"].agreement < 0.99


def test_sound_model_runs_alike_in_bfloat16() -> None:
    plain = at_work(loaded(Scores()), 4, 1, "float32")
    quick = at_work(loaded(Scores()), 4, 1, "bfloat16")
    assert (plain.precision.precision, quick.precision.precision) == ("float32", "bfloat16")
    assert quick.precision.measured["torch-bfloat16"].agreement >= 0.99
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for one, other in zip(plain.rank(list(pixels), 10), quick.rank(list(pixels), 10), strict=True):
        scores = {ranked.label: ranked.score for ranked in other}
        assert all(abs(scores[ranked.label] - ranked.score) < 0.02 for ranked in one)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_and_cpu_answers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels: Any = list(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8))
    theirs = at_work(loaded(Scores()), 4, 1, "float32").rank(pixels, 10)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ours = at_work(loaded(Scores()), 4, 1, "float32").rank(pixels, 10)
    for one, other in zip(ours, theirs, strict=True):
        scores = {ranked.label: ranked.score for ranked in other}
        assert all(abs(scores[ranked.label] - ranked.score) < 0.01 for ranked in one)
