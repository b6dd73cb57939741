"""What an artefact keeps of a network for OpenVINO: the graph that was chosen, and no wider."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testkit.images.leaves import pictures
from testkit.images.model_files import tried
from visionfleet.config.classifier import ModelSection
from visionfleet.contract.messages import ModelInfo
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model import artefact, processor
from visionfleet.model.artefact import Artefact
from visionfleet.model.building import encoded
from visionfleet.model.loaded import Loaded
from visionfleet.model.open import opened
from visionfleet.model.openvino_conversion import convert, in_bfloat16
from visionfleet.model.openvino_library import library
from visionfleet.model.openvino_network import OpenVinoNetwork, read

pytestmark = pytest.mark.needs_torch

HOW = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
DRAWN: list[Pixels] = list(islice(pictures(32), 16))


class Plain(nn.Module):
    """Convolutions, also depthwise, norms, and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        parts = [nn.Conv2d(3, 32, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
        parts += [nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 64, 1), nn.ReLU()]
        self.body = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.last = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.last(self.body(images))
        return found


class Shared(nn.Module):
    """One matrix on the left of a product, and, transposed, on the right of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.matrix = Plain().body, nn.Parameter(torch.randn(10, 64))

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = (self.matrix @ self.body(images).T).T
        return found @ self.matrix @ self.matrix.T


class Twice(nn.Module):
    """The same convolution twice, and a table of weights that only adds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 3, padding=1)
        self.table, self.last = nn.Parameter(torch.randn(16, 32, 32)), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        found = self.again(self.again(self.first(images)) + self.table)
        scores: Tensor = self.last(found.mean(dim=(2, 3)))
        return scores


NETWORKS = {"plain": Plain, "shared": Shared, "twice": Twice}


def loaded(network: type[nn.Module]) -> Loaded:
    torch.manual_seed(3)
    labels = tuple(f"label-{number}" for number in range(10))
    info = ModelInfo(name="mine", fingerprint="f")
    return Loaded(network().eval().requires_grad_(False), labels, HOW, info, source=b"a file")


def made(model: Loaded, precision: str) -> Artefact:
    contest = tried(model, 4, 1, precision, "openvino")
    return artefact.open_bytes(encoded(model, contest, "this one"), "here")


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_bfloat16_answers_the_same_by_weights_of_16_bits(network: type[nn.Module]) -> None:
    model = loaded(network)
    wide = OpenVinoNetwork(convert(model.module, HOW, False), "bfloat16", 1)
    found = made(model, "bfloat16")
    answers = opened(found, ModelSection(), 1).scores(DRAWN)
    here = processor.here({}).bfloat16  # elsewhere OpenVINO computes with what it is given
    np.testing.assert_allclose(answers, wide.scores(DRAWN), atol=0 if here else 0.05)
    assert found.manifest.chosen.measured["openvino-bfloat16"].agreement >= 0.99


def test_weights_take_what_their_precision_needs() -> None:
    model = loaded(Plain)
    sizes = {each: made(model, each).manifest.files for each in ("float32", "bfloat16")}
    assert [set(files) for files in sizes.values()] == [{"model.xml", "model.bin"}] * 2
    weights = sum(value.numel() for value in model.module.parameters())
    assert sizes["float32"]["model.bin"].size > 3.8 * weights
    assert sizes["bfloat16"]["model.bin"].size < 2.4 * weights


def test_weights_of_16_bits_are_not_widened_in_memory() -> None:
    graph = in_bfloat16(convert(loaded(Plain).module, HOW, False))
    hints = {"INFERENCE_PRECISION_HINT": "bf16"}
    compiled = library().Core().compile_model(read(graph), "CPU", hints)
    kept: dict[str, int] = {"bf16": 0, "f32": 0}
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = {
            name: node.get_rt_info()[name].astype(str) for name in ("layerType", "outputPrecisions")
        }
        if told["layerType"] == "Const" and told["outputPrecisions"] in kept:
            shape = node.get_output_partial_shape(0).to_shape()
            kept[told["outputPrecisions"]] += int(np.prod(list(shape)))
    assert kept["bf16"] == 32 * 3 * 9 + 32 * 9 + 64 * 32 + 10 * 64
    assert kept["f32"] < 200, "biases, and the norm of the pixels"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_earlier_releases_can_read_what_is_written(precision: str) -> None:
    """They look for `model`, and give OpenVINO what they find."""
    found = made(loaded(Plain), precision)
    chosen = replace(found.manifest.chosen, precision="float32")  # as on another processor
    elsewhere = replace(found, manifest=found.manifest.model_copy(update={"chosen": chosen}))
    here, there = (opened(each, ModelSection(), 1).scores(DRAWN) for each in (found, elsewhere))
    np.testing.assert_allclose(here, there, atol=0.05)
