"""Which settings of a host are tried, and which of them are chosen."""

import pytest

from visionfleet.measurement.host_trials import (
    HostSettings,
    Trial,
    best,
    first_round,
    second_round,
    shapes,
    together,
)


def trial(rate: float, p95: float, batch: int = 8) -> Trial:
    return Trial(HostSettings(1, 2, batch, 2 * batch), rate, p95 / 2, p95)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        (1, [(1, 1)]),
        (2, [(1, 2), (2, 1)]),
        (6, [(1, 6), (2, 3), (6, 1)]),
        (8, [(1, 8), (2, 4), (4, 2), (8, 1)]),
    ],
)
def test_shapes_fill_the_cores(cores: int, expected: list[tuple[int, int]]) -> None:
    assert shapes(cores) == expected


@pytest.mark.parametrize("cores", range(1, 100))
def test_shapes_never_ask_for_more_than_there_is(cores: int) -> None:
    assert all(0 < workers * threads <= cores for workers, threads in shapes(cores))
    assert {(1, cores), (cores, 1)} <= set(shapes(cores))


def test_first_round_tries_batches_up_to_the_largest() -> None:
    found = list(first_round(2, 3, most=8))
    assert [(s.batch_size, s.prefetch) for s in found] == [(1, 2), (2, 4), (4, 8), (8, 16)]
    assert {(s.workers, s.threads) for s in found} == {(2, 3)}


def test_second_round_tries_other_prefetches_of_a_batch() -> None:
    found = list(second_round(HostSettings(1, 2, 4, 8)))
    assert [(s.batch_size, s.prefetch) for s in found] == [(4, 4), (4, 16)]


def test_best_is_the_quickest_that_keeps_the_limit() -> None:
    trials = [trial(50, 0.1), trial(90, 0.4), trial(120, 2.0)]
    assert best(trials, 1.0) is trials[1]
    assert best(trials, 3.0) is trials[2]
    assert best(trials, 0.05) is None


def test_of_trials_that_are_alike_the_soonest_wins() -> None:
    trials = [trial(100, 0.9), trial(98, 0.2), trial(96, 0.1)]
    assert best(trials, 1.0) is trials[1]


def test_workers_are_summed_up() -> None:
    settings = HostSettings(2, 1, 1, 2)
    answers = [
        {"images": 4, "seconds": 2.0, "latencies": [0.1, 0.2, 0.3, 0.4]},
        {"images": 6, "seconds": 2.0, "latencies": [0.5] * 6},
    ]
    assert together(settings, answers) == Trial(settings, 5.0, 0.5, 0.5)
