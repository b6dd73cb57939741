"""Weights in every wrapping in which people save them, put into a network they name."""

import argparse
import collections
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from testkit.images.model_files import saved
from visionfleet.errors import BadModel
from visionfleet.model.state_dict import fit, load_tensors, state_dict_of

pytestmark = pytest.mark.needs_torch


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        collections.OrderedDict(stem=nn.Linear(4, 3), norm=nn.BatchNorm1d(3), fc=nn.Linear(3, 2))
    )


WEIGHTS = network().state_dict()
OTHER = network(1).state_dict()


class Settings(dict[str, Any]):
    """As Lightning keeps the arguments of a model: a dict of a class of its own."""


def under(prefix: str, weights: Mapping[str, Tensor] = WEIGHTS) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


WRAPPED: dict[str, dict[str, Any]] = {
    "bare": dict(WEIGHTS),
    "DataParallel": under("module."),
    "torch.compile": under("_orig_mod."),
    "both": under("_orig_mod.module."),
    "a module's attribute": under("model."),
    "any attribute": under("student.backbone."),
    "Lightning": {
        "state_dict": under("model.") | {"criterion.weight": torch.ones(2)},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(9)}}, "param_groups": []}],
        "hyper_parameters": Settings(lr=0.1),
        "callbacks": {"ModelCheckpoint": {"best": torch.tensor(1.0)}},
    },
    "a training's arguments": {"model": WEIGHTS, "args": argparse.Namespace(lr=0.1)},
    "a table of classes": {"net": WEIGHTS, "seen": collections.defaultdict(list, {"a": [1]})},
    "any key": {"epoch": 1, "student_weights": WEIGHTS, "best_accuracy": torch.tensor(0.5)},
    "deep": {"checkpoint": {"networks": {"classifier": WEIGHTS}}},
    "EMA beside it": {"state_dict": OTHER, "state_dict_ema": under("module.")},
    "EMA in Lightning": {"state_dict": under("model.", OTHER) | under("ema_model.")},
    "AveragedModel": under("module.") | {"n_averaged": torch.tensor(3)},
    "counted by a profiler": dict(WEIGHTS) | {"stem.total_ops": torch.zeros(1)},
    "before batches were counted": {n: v for n, v in WEIGHTS.items() if "num_batch" not in n},
    "in half precision": {n: v.half() if v.is_floating_point() else v for n, v in WEIGHTS.items()},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_weights_are_found_in_their_wrapping(wrapping: str) -> None:
    found = state_dict_of(load_tensors(saved(WRAPPED[wrapping]), "x"), "x")
    module = fit(network(2), found, "x", "ours").eval()
    images = torch.rand(2, 4)
    assert torch.allclose(module(images), network().eval()(images), atol=1e-2)


def test_safetensors_are_weights_too() -> None:
    found = state_dict_of(load_tensors(save_safetensors(under("model.")), "x"), "x")
    assert torch.equal(fit(network(2), found, "x", "ours").state_dict()["fc.weight"],
                       WEIGHTS["fc.weight"])  # fmt: skip


def test_objects_beside_weights_are_never_made(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "trap",)

    for value in ({"state_dict": WEIGHTS, "args": Trap()}, {"weight": Trap()}):
        with pytest.raises(BadModel, match="code from a file is never run"):
            load_tensors(saved(value), "x")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({n: v for n, v in WEIGHTS.items() if "fc" not in n}, r"Missing key\(s\): fc.weight and 1"),
        (dict(WEIGHTS) | {"more": torch.ones(1)}, r"Unexpected key\(s\): more$"),
        (dict(WEIGHTS) | {"fc.weight": torch.ones(5, 3)}, "fc.weight is for 5, not 2"),
        (dict(WEIGHTS) | {"fc.weight": torch.ones(2, 7)}, r"fc.weight is \(2, 7\), not \(2, 3\)"),
    ],
)
def test_first_misfit_is_told(weights: dict[str, Tensor], told: str) -> None:
    with pytest.raises(BadModel, match=f"x: does not fit ours: {told}"):
        fit(network(), state_dict_of(weights, "x"), "x", "ours")
