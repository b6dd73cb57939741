"""The rate that is expected, by the window that has lately erred least."""

from collections.abc import Iterable
from random import Random

import pytest

from visionfleet.scaler.forecast import Forecast

WINDOW, BOOT, STEP = 30.0, 45.0, 4


def followed(rates: Iterable[float], seed: int | None = None) -> list[float]:
    """Look each four seconds at images that come at these rates; tells what is then expected."""
    random, forecast, images, said = Random(seed), Forecast(), 0.0, []
    for index, rate in enumerate(rates):
        came = rate * STEP
        images += came if seed is None else sum(random.random() < 0.5 for _ in range(int(came * 2)))
        forecast = forecast.updated(images, WINDOW, BOOT, float(index * STEP))
        said.append(forecast.rate)
    return said


def clumps(seconds: int) -> list[float]:
    """Two images a second in the mean: 80 at once, every 40 s."""
    return [20.0 if at % 40 < STEP else 0.0 for at in range(0, seconds, STEP)]


def test_steady_rate_is_expected_as_it_is() -> None:
    assert followed([5.0] * 400)[-1] == pytest.approx(5.0, rel=0.01)


def test_long_windows_smooth_what_is_random() -> None:
    said = followed([10.0] * 900, seed=1)[450:]
    spread = max(said) - min(said)
    short = [max(said[i : i + 8]) for i in range(0, len(said), 8)]
    assert spread < 6, "half a minute alone varies by some eight"
    assert sum(short) / len(short) == pytest.approx(10.5, abs=1.0)


@pytest.mark.parametrize(("before", "after"), [(2.0, 12.0), (12.0, 2.0)])
def test_jump_and_fall_are_followed_within_a_minute(before: float, after: float) -> None:
    """A long window has erred least, and yet does not hold the forecast back."""
    said = followed([before] * 400 + [after] * 16)
    assert said[399] == pytest.approx(before, rel=0.01)
    assert said[-1] == pytest.approx(after, rel=0.25)


def test_clumps_are_spread_over_the_time_between_them() -> None:
    """Half a minute would see nothing in most looks."""
    said = followed(clumps(4000))[500:]
    assert sum(rate > 0.5 for rate in said) > 0.9 * len(said)
    assert max(said) < 20


def test_single_burst_is_not_expected_again() -> None:
    said = followed([0.0] * 60 + [100.0] + [0.0] * 8)
    assert said[60] == 0.0, "it is backlog, no rate"
    assert max(said) < 5


def test_nothing_is_expected_before_anything_was_seen() -> None:
    assert Forecast().rate == 0.0
    assert not Forecast().anything_lately
    assert followed([50.0]) == [0.0]


def test_arrivals_are_kept_for_the_longest_window() -> None:
    forecast = Forecast()
    for second in range(0, 5000, STEP):
        forecast = forecast.updated(float(second), WINDOW, BOOT, float(second))
    assert len(forecast.arrived) <= 30 * WINDOW / STEP + 2
    assert len(forecast.predicted) <= BOOT / STEP + 2
