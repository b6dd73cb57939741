"""Calibration: the error, the temperature and the threshold."""

import numpy as np
import pytest

from bench.swept_calibration import swept_calibration_error
from visionfleet.evaluation.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    unknown_threshold,
)


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        pytest.param([0.95] * 20, [True] * 19 + [False], 0.0, id="right as often as it says"),
        pytest.param([0.9] * 10, [True] * 5 + [False] * 5, 0.4, id="too sure"),
        pytest.param([0.5] * 10, [True] * 10, 0.5, id="too modest"),
        pytest.param([1.0, 1.0, 0.5, 0.5], [True, True, False, False], 0.25, id="bins are weighed"),
        pytest.param([1.0], [True], 0.0, id="certain and right"),
    ],
)
def test_calibration_error_is_confidence_minus_accuracy(
    confidences: list[float], right: list[bool], error: float
) -> None:
    found = expected_calibration_error(np.array(confidences), np.array(right))
    assert found == pytest.approx(error)


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        pytest.param([0.9] * 10, [True] * 5 + [False] * 5, 0.4, id="too sure"),
        pytest.param([0.2, 0.3, 0.8, 0.9], [False, False, True, True], 0.2, id="two bins"),
        pytest.param([0.2, 0.3, 0.8, 0.9], [True, True, False, False], 0.05, id="one bin"),
        pytest.param([0.7], [True], 0.3, id="one image"),
    ],
)
def test_swept_error_takes_bins_while_accuracy_rises(
    confidences: list[float], right: list[bool], error: float
) -> None:
    found = swept_calibration_error(np.array(confidences), np.array(right))
    assert found == pytest.approx(error)


def test_swept_error_of_few_true_scores_is_the_smaller() -> None:
    generator = np.random.default_rng(0)
    confidences = generator.beta(6, 1, 188)
    drawn = generator.random((200, 188)) < confidences
    binned = [expected_calibration_error(confidences, right) for right in drawn]
    swept = [swept_calibration_error(confidences, right) for right in drawn]
    assert np.mean(swept) < 0.7 * np.mean(binned)


@pytest.mark.parametrize("off", [0.1, 0.3])
def test_swept_error_finds_what_is_wrong(off: float) -> None:
    generator = np.random.default_rng(0)
    confidences = generator.uniform(0.5, 1.0, 2000)
    right = generator.random(2000) < confidences - off
    assert swept_calibration_error(confidences, right) == pytest.approx(off, abs=0.03)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_fitted_temperature_recovers_a_known_one(temperature: float) -> None:
    """Targets are drawn from the softmax of known logits, which then are scaled."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 5))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (generator.random((20_000, 1)) > shares.cumsum(axis=1)).sum(axis=1).clip(0, 4)
    assert fit_temperature(temperature * logits, targets) == pytest.approx(temperature, rel=0.05)


def test_temperature_fits_log_probabilities_like_logits() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 5.0], [3.0, 2.9, 0.0]])
    targets = np.array([0, 2, 1])
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert fit_temperature(logs, targets) == pytest.approx(fit_temperature(logits, targets))
    assert negative_log_likelihood(logs, targets) == pytest.approx(
        negative_log_likelihood(logits, targets)
    )


def test_temperature_fit_takes_large_scores() -> None:
    assert np.isfinite(negative_log_likelihood(np.array([[1e4, 0.0]]), np.array([1])))


def test_threshold_rejects_a_share_of_right_answers_only() -> None:
    confidences = np.array([*np.linspace(0.01, 1, 100), 0.999, 0.999])
    right = np.array([True] * 100 + [False] * 2)
    threshold = unknown_threshold(confidences, right, 0.05)
    assert (confidences[right] < threshold).sum() == 5
    assert unknown_threshold(confidences, ~(confidences > 0), 0.05) == 0.0
