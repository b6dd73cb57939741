"""How the precision of a model is chosen, from given measurements and with real models."""

import logging
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from visionfleet.contract.messages import ModelInfo
from visionfleet.errors import BadModel
from visionfleet.imaging.preprocess import Pixels, Preprocessing
from visionfleet.model import device
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded
from visionfleet.model.precision import Trial, candidates, choose, tell, try_out

pytestmark = pytest.mark.needs_torch

# asked for, on a GPU, bfloat16 in hardware, weights that can be converted: what is tried
CANDIDATES = {
    "auto on a processor with bfloat16": ("auto", False, True, True, ("float32", "bfloat16")),
    "auto on one without: nothing to try": ("auto", False, False, True, ("float32",)),
    "auto on a GPU": ("auto", True, True, True, ("float32", "bfloat16", "float16")),
    "auto on an old GPU": ("auto", True, False, True, ("float32", "float16")),
    "a quantised model keeps its own": ("auto", False, True, False, ("float32",)),
    "so it does against an order": ("bfloat16", False, True, False, ("float32",)),
    "float32 needs no trial": ("float32", True, True, True, ("float32",)),
    "an order is tried though it is slow": (
        "bfloat16",
        False,
        False,
        True,
        ("float32", "bfloat16"),
    ),
    "float16 on a GPU": ("float16", True, True, True, ("float32", "float16")),
}


@pytest.mark.parametrize(
    ("asked", "cuda", "bfloat16", "convertible", "found"), CANDIDATES.values(), ids=CANDIDATES
)
def test_precision_candidates_depend_on_the_device(
    asked: str, cuda: bool, bfloat16: bool, convertible: bool, found: tuple[str, ...]
) -> None:
    assert candidates(asked, cuda, bfloat16, convertible) == found


def test_float16_is_refused_on_a_processor() -> None:
    with pytest.raises(BadModel, match="float16 is for GPUs"):
        candidates("float16", False, True, True)


SURE = torch.tensor([[0.9, 0.1]] * 100)


def trial(speed: float, wrong: int = 0, fault: str = "") -> Trial:
    """Answers of a precision: the first `wrong` of a hundred pictures get the other class."""
    rows = SURE.clone()
    rows[:wrong] = torch.tensor([0.2, 0.8])
    return Trial(rows, speed, fault)


# asked for, floor, trials beside that of float32 at 10 images/s: what is taken
CHOICES: dict[str, tuple[str, float, dict[str, Trial], str]] = {
    "the quicker one": ("auto", 0.99, {"bfloat16": trial(20)}, "bfloat16"),
    "the quickest of three": (
        "auto",
        0.99,
        {"bfloat16": trial(20), "float16": trial(30)},
        "float16",
    ),
    "float32 when it is the quicker one": ("auto", 0.99, {"bfloat16": trial(9)}, "float32"),
    "float32 when nothing is won": ("auto", 0.99, {"bfloat16": trial(10.4)}, "float32"),
    "at the floor": ("auto", 0.99, {"bfloat16": trial(20, wrong=1)}, "bfloat16"),
    "float32 below the floor": ("auto", 0.99, {"bfloat16": trial(20, wrong=2)}, "float32"),
    "the next one when the quickest is below the floor": (
        "auto",
        0.99,
        {"bfloat16": trial(20), "float16": trial(30, wrong=2)},
        "bfloat16",
    ),
    "a floor of nothing": ("auto", 0.0, {"bfloat16": trial(20, wrong=100)}, "bfloat16"),
    "float32 when the model fails": ("auto", 0.0, {"bfloat16": trial(0, fault="no")}, "float32"),
    "an order, though slower": ("bfloat16", 0.99, {"bfloat16": trial(5)}, "bfloat16"),
}


@pytest.mark.parametrize(("asked", "floor", "others", "name"), CHOICES.values(), ids=CHOICES)
def test_fastest_acceptable_precision_is_chosen(
    asked: str, floor: float, others: dict[str, Trial], name: str
) -> None:
    chosen = choose(asked, floor, {"float32": trial(10)} | others)
    assert chosen.name == name
    assert chosen.measured["float32"].agreement == 1.0
    assert chosen.images == 100


def test_configured_precision_below_the_floor_is_refused() -> None:
    with pytest.raises(BadModel, match=r"bfloat16 agrees with float32 on 97.0% of 100 pictures"):
        choose("bfloat16", 0.99, {"float32": trial(10), "bfloat16": trial(20, wrong=3)})


def test_configured_precision_that_fails_is_refused() -> None:
    with pytest.raises(BadModel, match="bfloat16: the model fails in it: no kernel"):
        choose("bfloat16", 0.99, {"float32": trial(10), "bfloat16": trial(0, fault="no kernel")})


def test_precision_may_break_near_ties_of_float32() -> None:
    exact = Trial(torch.tensor([[0.4, 0.395, 0.205], [0.5, 0.48, 0.02]]), 10)
    other = Trial(torch.tensor([[0.39, 0.40, 0.21], [0.49, 0.50, 0.01]]), 20)
    measured = choose("auto", 0.5, {"float32": exact, "bfloat16": other}).measured["bfloat16"]
    assert measured.agreement == 0.5
    assert measured.difference == pytest.approx(0.02)


def test_precision_log_has_each_speed_and_failure() -> None:
    trials = {"float32": trial(10), "bfloat16": trial(25), "float16": trial(0, fault="no kernel")}
    fields = tell(choose("auto", 0.99, trials))
    assert fields["precision"] == "bfloat16"
    assert fields["images_per_second"] == "float32:10.0,bfloat16:25.0"
    assert fields["agreement"] == "float32:1.000,bfloat16:1.000"
    assert fields["refused"] == "float16: no kernel"


def batches(sizes: Sequence[int]) -> list[list[Pixels]]:
    return [[np.zeros((1, 1, 3), np.uint8)] * size for size in sizes]


def test_benchmark_takes_the_best_batch_after_warm_up() -> None:
    times = count(0.0, 1.0)  # each look at the clock is a second later
    ran: list[int] = []

    def run(batch: Sequence[Pixels]) -> Tensor:
        ran.append(len(batch))
        return torch.zeros(len(batch), 2)

    found = try_out(run, batches([8, 8, 8, 8]), 3.0, lambda: next(times))
    assert ran == [8, 8, 8]  # one to warm up, two at the least, then the time was over
    assert (len(found.probabilities), found.images_per_second) == (16, 8.0)


def test_benchmark_tries_slow_models_on_enough_images() -> None:
    times = count(0.0, 1.0)
    found = try_out(
        lambda batch: torch.zeros(len(batch), 2), batches([1] * 20), 0.0, lambda: next(times)
    )
    assert len(found.probabilities) == 8


class Scores(nn.Module):
    """Ten scores of an image; `offset` is added and taken away again, which rounds them."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 10, 5)
        self.offset = offset

    def forward(self, images: Tensor) -> Tensor:
        return (3 * self.convolution(images).mean(dim=(2, 3)) + self.offset) - self.offset


def loaded(module: nn.Module) -> Loaded:
    how = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.1, 0.1, 0.1))
    info = ModelInfo(name="scores", fingerprint="0")
    return Loaded(module.eval(), tuple("abcdefghij"), how, info)


def test_model_that_bfloat16_breaks_stays_in_float32(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # At 1024 bfloat16 has steps of 8: the scores that remain are multiples of it.
    broken = Scores(offset=1024.0)
    with pytest.raises(BadModel, match=r"at least 99.0% is asked for"):
        Inference(loaded(broken), 4, 1, "bfloat16")
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda _: True)
    with caplog.at_level(logging.INFO, "classifier"):
        model = Inference(loaded(broken), 4, 1)
    assert model.precision.name == "float32"
    assert model.precision.measured["bfloat16"].agreement < 0.99
    (line,) = [r for r in caplog.records if r.message == "precision chosen"]
    assert vars(line)["precision"] == "float32"
    assert "bfloat16:" in vars(line)["images_per_second"]


def test_sound_model_runs_alike_in_bfloat16() -> None:
    plain = Inference(loaded(Scores()), 4, 1, "float32")
    quick = Inference(loaded(Scores()), 4, 1, "bfloat16")
    assert (plain.precision.name, quick.precision.name) == ("float32", "bfloat16")
    assert quick.precision.measured["bfloat16"].agreement >= 0.99
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for one, other in zip(plain.rank(list(pixels), 10), quick.rank(list(pixels), 10), strict=True):
        scores = {ranked.label: ranked.score for ranked in other}
        assert all(abs(scores[ranked.label] - ranked.score) < 0.02 for ranked in one)


def test_inference_seconds_are_measured_by_stage() -> None:
    model = Inference(loaded(Scores()), 4, 1)
    assert (model.seconds.prepare, model.seconds.forward, model.seconds.rank) == (0, 0, 0)
    model.rank([np.zeros((32, 32, 3), np.uint8)], 1)
    first = model.seconds
    assert min(first.prepare, first.forward, first.rank) > 0
    model.rank([np.zeros((32, 32, 3), np.uint8)], 1)
    assert model.seconds.forward > first.forward


@pytest.mark.parametrize(("there", "kind"), [(True, "cuda"), (False, "cpu")])
def test_gpu_that_torch_sees_is_used(
    monkeypatch: pytest.MonkeyPatch, there: bool, kind: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.choose() == torch.device(kind)


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("processor: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_tile\n", True),
        ("flags : fpu avx512f amx_bf16\n", True),
        ("flags : fpu avx2 avx512f avx512_bf16x\n", False),
        ("Features\t: fp asimd i8mm bf16\n", True),
        ("Features : fp asimd\n", False),
        ("", False),
    ],
)
def test_bfloat16_support_is_read_from_cpu_flags(text: str, has: bool) -> None:
    assert device.has_bfloat16(text) is has


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_and_cpu_answers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels: Any = list(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8))
    theirs = Inference(loaded(Scores()), 4, 1, "float32").rank(pixels, 10)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ours = Inference(loaded(Scores()), 4, 1, "float32").rank(pixels, 10)
    for one, other in zip(ours, theirs, strict=True):
        scores = {ranked.label: ranked.score for ranked in other}
        assert all(abs(scores[ranked.label] - ranked.score) < 0.01 for ranked in one)
