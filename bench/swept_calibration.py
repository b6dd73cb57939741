"""A calibration error for few images."""

import numpy as np

from visionfleet.evaluation.calibration import Booleans, Floats


def swept_calibration_error(confidences: Floats, right: Booleans) -> float:
    """The calibration error with equal-mass bins: the most bins for which accuracy is monotonic.

    For a few hundred images a perfect model gets a smaller error than with equal-width bins
    (Roelofs, Cain, Shlens and Mozer: Mitigating Bias in Calibration Error Estimation, 2022).
    """
    order = np.argsort(confidences, kind="stable")
    confidences, right = confidences[order], right[order]
    error = abs(confidences.mean() - right.mean())
    for bins in range(2, len(right) + 1):
        parts = np.array_split(np.arange(len(right)), bins)
        accuracies = np.array([right[part].mean() for part in parts])
        if (np.diff(accuracies) < 0).any():
            break
        said = np.array([confidences[part].mean() for part in parts])
        error = np.abs(said - accuracies) @ [len(part) / len(right) for part in parts]
    return float(error)
