"""Calibration of a model's probabilities. No I/O.

Scores are logits or log probabilities, which differ by a constant per row.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Wholes = npt.NDArray[np.integer]
Booleans = npt.NDArray[np.bool_]

_Number = TypeVar("_Number", bound=np.floating)

BINS = 15
TEMPERATURES = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2


def expected_calibration_error(confidences: Floats, right: Booleans, bins: int = BINS) -> float:
    which = np.minimum((confidences * bins).astype(int), bins - 1)
    gaps = [
        abs(confidences[chosen].mean() - right[chosen].mean()) * chosen.mean()
        for number in range(bins)
        if (chosen := which == number).any()
    ]
    return float(sum(gaps))


def softmax(scores: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Probabilities of each row; not finite where the scores are not."""
    with np.errstate(invalid="ignore", over="ignore"):
        powers: npt.NDArray[_Number] = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: npt.NDArray[_Number] = powers / powers.sum(axis=1, keepdims=True)
    return found


def fit_temperature(scores: Floats, targets: Wholes) -> float:
    """The divisor of the scores that maximizes the likelihood of the right classes."""
    low, high = np.log(TEMPERATURES)
    # The loss has one minimum in log T: golden-section search.
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if negative_log_likelihood(scores / np.exp(left), targets) <= negative_log_likelihood(
            scores / np.exp(right), targets
        ):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def negative_log_likelihood(scores: Floats, targets: Wholes) -> float:
    """The mean over the images, in nats."""
    highest = scores.max(axis=1, keepdims=True)
    totals = np.log(np.exp(scores - highest).sum(axis=1)) + highest[:, 0]
    return float((totals - scores[np.arange(len(targets)), targets]).mean())


def unknown_threshold(confidences: Floats, right: Booleans, lost: float) -> float:
    """The score below which this share of correct answers lies; 0 without any."""
    return float(np.quantile(confidences[right], lost)) if right.any() else 0.0
