"""Percentiles and errors of a load."""

import pytest

from visionfleet.measurement.latencies import Sample, percentile, summary


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)]
)
def test_percentiles_are_measured_values(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99, 1.0])
def test_percentile_of_one_value_is_that_value(share: float) -> None:
    assert percentile([3.0], share) == 3.0


def test_percentile_of_few_values_is_the_highest() -> None:
    assert percentile([1.0, 2.0, 3.0], 0.95) == 3.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_errors_are_counted_by_kind_and_have_no_latency() -> None:
    samples = [Sample(0, 1.0), Sample(1, 3.0), Sample(2, 9.0, "late"), Sample(3, 0.1, "busy")]
    found = summary([*samples, Sample(3, 0.1, "busy")])
    assert (found.sent, found.answered) == (5, 2)
    assert list(found.errors.items()) == [("busy", 2), ("late", 1)]
    assert found.latencies == {"p50": 1.0, "p95": 3.0, "p99": 3.0, "mean": 2.0, "max": 3.0}


def test_rate_counts_answers_until_the_last_image_ends() -> None:
    found = summary([Sample(0, 1.0), Sample(1, 1.0), Sample(2, 2.0, "late")])
    assert found.images_per_second == 0.5


def test_images_that_left_late_are_counted() -> None:
    assert summary([Sample(0, 1.0, late_seconds=0.5), Sample(1, 1.0, late_seconds=0.01)]).late == 1


def test_nothing_sent_has_no_figures() -> None:
    found = summary([])
    assert (found.sent, found.latencies, found.images_per_second) == (0, {}, 0.0)
