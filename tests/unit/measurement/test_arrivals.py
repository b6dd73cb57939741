"""When the images of a load arrive."""

from itertools import pairwise
from random import Random

import pytest

from visionfleet.measurement.arrivals import evenly, poisson


@pytest.mark.parametrize(
    ("rate", "seconds", "count"), [(4, 2.5, 10), (0.5, 4, 2), (3, 0.2, 0), (10, 0.3, 3), (7, 1, 7)]
)
def test_even_arrivals_are_one_every_interval(rate: float, seconds: float, count: int) -> None:
    found = list(evenly(rate, seconds))
    assert len(found) == count
    assert all(b - a == pytest.approx(1 / rate) for a, b in pairwise(found))
    assert all(0 <= at < seconds for at in found)


def test_poisson_arrivals_have_the_rate_in_the_mean() -> None:
    found = list(poisson(50, 200, Random(1)))
    assert len(found) == pytest.approx(10_000, rel=0.03)
    assert found == sorted(found)
    assert found[0] > 0
    assert found[-1] < 200


def test_poisson_gaps_vary_as_those_of_many_clients_do() -> None:
    found = list(poisson(50, 200, Random(1)))
    gaps = [b - a for a, b in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)


def test_poisson_arrivals_repeat_with_their_seed() -> None:
    assert list(poisson(5, 10, Random(3))) == list(poisson(5, 10, Random(3)))
    assert list(poisson(5, 10, Random(3))) != list(poisson(5, 10, Random(4)))
