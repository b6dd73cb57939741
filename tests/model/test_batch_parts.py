"""A batch on OpenVINO is computed in parts, each on cores of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
from torch import nn

from testkit.images.leaves import pictures
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.choice import Chosen, Measured, cores_of_part
from visionfleet.model.openvino_conversion import convert
from visionfleet.model.openvino_network import OpenVinoNetwork

pytestmark = pytest.mark.needs_torch

HOW = Preprocessing(32, 32, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
DRAWN: list[Pixels] = list(islice(pictures(32), 9))

Networks = Callable[[int, bool], OpenVinoNetwork]


@pytest.fixture(scope="module")
def networks() -> Networks:
    convolution = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    module = nn.Sequential(convolution, nn.Flatten(), nn.Linear(8, 5)).eval()

    def made(parts: int, singly: bool) -> OpenVinoNetwork:
        return OpenVinoNetwork(convert(module, HOW, singly), "float32", parts, parts=parts)

    return made


@pytest.mark.parametrize("singly", [False, True])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_parts_give_each_image_its_scores(networks: Networks, parts: int, singly: bool) -> None:
    network = networks(parts, singly)
    alone = np.concatenate([networks(1, False).scores([pixels]) for pixels in DRAWN])
    for size in range(1, len(DRAWN) + 1):
        found, features = network.scores_and_features(DRAWN[:size])
        np.testing.assert_allclose(found, alone[:size], atol=1e-6)
        assert features is None or len(features) == size


def test_answers_outlive_the_next_batch(networks: Networks) -> None:
    network = networks(2, False)
    first = network.scores(DRAWN[:4])
    kept = first.copy()
    network.scores(DRAWN[4:8])
    np.testing.assert_array_equal(first, kept)


def test_callers_on_several_threads_get_their_own(networks: Networks) -> None:
    network = networks(2, False)
    expected = [network.scores([pixels]) for pixels in DRAWN]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            found = list(pool.map(lambda pixels: network.scores([pixels]), DRAWN))
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_failed_part_leaves_the_network_usable(networks: Networks) -> None:
    network = networks(2, False)
    expected = network.scores(DRAWN[:2])
    for _ in range(100):  # the other part may still be running
        with pytest.raises(RuntimeError):
            network.scores([DRAWN[0], np.zeros((16, 16, 3), np.uint8)])
        np.testing.assert_allclose(network.scores(DRAWN[:2]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("per_second", "measured_on", "cores", "batch_size", "expected"),
    [
        (400.0, 2, 2, 8, 1),  # 5 ms on one core
        (40.0, 2, 8, 8, 1),  # 50 ms
        (30.0, 2, 8, 8, 2),  # 67 ms on one core, 33 on two
        (2.0, 1, 8, 8, 8),  # 500 ms
        (2.0, 1, 2, 8, 2),
        (30.0, None, 8, 8, 1),  # an earlier release's artefact
        (400.0, 2, 16, 8, 2),  # more cores than images
        (400.0, 2, 2, 1, 2),
    ],
)
def test_slow_model_or_small_batch_shares_cores(
    per_second: float, measured_on: int | None, cores: int, batch_size: int, expected: int
) -> None:
    measured = {"openvino-int8": Measured(per_second, 1.0, 0.0)}
    chosen = Chosen("openvino", "int8", measured, cores=measured_on)
    assert cores_of_part(chosen, cores, batch_size) == expected
