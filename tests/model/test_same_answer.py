"""The same image has the same answer, whatever is asked of it and whoever is in its batch."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from random import Random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testkit.images.leaves import pictures
from testkit.images.model_files import at_work
from visionfleet.config.classifier import ModelSection, Precision, Runtime
from visionfleet.contract.messages import Ranked
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.inference import Inference
from visionfleet.model.loaded import Loaded, info
from visionfleet.model.loading import load

pytestmark = pytest.mark.needs_torch

CLASSES = 40
HOW = Preprocessing(8, 8, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))


class Coarse(nn.Module):
    """Scores in a few steps, so that many are equal, as those of an int8 model are."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.linear(images.flatten(1))
        return (scores * 2).round() / 2


def images(count: int, side: int) -> list[Pixels]:
    numbers = np.random.default_rng(5)
    return [numbers.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def coarse() -> Inference:
    torch.manual_seed(3)
    labels = tuple(f"label-{index}" for index in range(CLASSES))
    return at_work(Loaded(Coarse().eval(), labels, HOW, info("m", b"")), 8, 1, "float32")


class Convolved(nn.Module):
    """As networks are: what a kernel does side by side, it may add up in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
        self.last = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.last(self.body(images).mean(dim=(2, 3)))
        return scores


def convolved(runtime: str, threads: int) -> Inference:
    torch.manual_seed(3)
    labels = tuple(f"label-{index}" for index in range(CLASSES))
    network = Convolved().eval().requires_grad_(False)
    loaded = Loaded(network, labels, HOW, info("m", b""))
    return at_work(loaded, 8, threads, "float32", runtime)


def of(ranking: tuple[Ranked, ...]) -> list[tuple[int, str]]:
    return [(ranked.index, ranked.label) for ranked in ranking]


def test_ties_go_to_the_lower_index(coarse: Inference) -> None:
    tied = 0
    for ranking in coarse.rank(images(200, 8), CLASSES):
        for before, after in pairwise(ranking):
            assert (-before.score, before.index) < (-after.score, after.index)
            tied += before.score == after.score
    assert tied > 1000


def test_answer_does_not_depend_on_top(coarse: Inference) -> None:
    for pixels in images(50, 8):
        whole = coarse.rank([pixels], CLASSES)[0]
        for top in (1, 2, 5, 17):
            assert coarse.rank([pixels], top)[0] == whole[:top]


def test_answer_does_not_depend_on_the_batch(coarse: Inference) -> None:
    random, pictures = Random(9), images(32, 8)
    alone = [coarse.rank([pixels], 5)[0] for pixels in pictures]
    for _ in range(30):
        chosen = random.sample(range(32), random.randint(2, 16))
        rankings = coarse.rank([pictures[index] for index in chosen], 5)
        assert [of(ranking) for ranking in rankings] == [of(alone[index]) for index in chosen]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_answer_does_not_depend_on_who_else_asks(runtime: str) -> None:
    model, shown = convolved(runtime, 1), images(64, 8)
    assert model.precision.runtime == runtime
    alone = np.concatenate([model.probabilities([pixels]) for pixels in shown])

    def ask(caller: int) -> None:
        random = Random(caller)
        for _ in range(60):
            chosen = random.sample(range(64), random.randint(1, 8))
            found = model.probabilities([shown[index] for index in chosen])
            np.testing.assert_allclose(found, alone[chosen], atol=1e-5)

    with ThreadPoolExecutor(6) as callers:
        assert len(list(callers.map(ask, range(6)))) == 6


def test_answer_depends_on_neither_runtime_nor_threads() -> None:
    shown = images(32, 8)
    ways = [(runtime, threads) for runtime in ("torch", "openvino") for threads in (1, 2, 3)]
    first, *others = [convolved(*way).probabilities(shown) for way in ways]
    for found in others:
        np.testing.assert_allclose(found, first, atol=1e-5)


@pytest.mark.parametrize(
    ("runtime", "precision"),
    [
        ("torch", "float32"),
        ("torch", "bfloat16"),
        ("openvino", "float32"),
        ("openvino", "bfloat16"),
        ("openvino", "int8"),
    ],
)
def test_default_model_answers_alike_in_any_batch(
    runtime: Runtime, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionfleet.model.choice.AGREEMENT_FLOOR", 0.5)
    monkeypatch.setattr("visionfleet.model.choice.AGREEMENT_FLOORS", {"int8": 0.0})
    model = at_work(load(ModelSection()), 8, 1, precision, runtime)
    assert (model.precision.runtime, model.precision.precision) == (runtime, precision)
    random, shown = Random(4), list(islice(pictures(model.preprocessing.crop), 12))
    alone = [model.rank([pixels], 3)[0] for pixels in shown]
    for _ in range(5):
        chosen = random.sample(range(12), random.randint(2, 8))
        for index, ranking in zip(chosen, model.rank([shown[i] for i in chosen], 3), strict=True):
            assert ranking[0].label == alone[index][0].label
            assert ranking[0].score == pytest.approx(alone[index][0].score, abs=0.02)
