"""Accuracy, calibration and confusions on labelled images. No I/O."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from visionfleet.evaluation import calibration
from visionfleet.evaluation.calibration import Booleans, Floats, Wholes

_LEAST = 1e-12  # replaces probabilities rounded to zero


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Rows of probabilities, the class of each image, and its folder."""

    labels: tuple[str, ...]
    folders: Sequence[str]
    targets: Wholes
    probabilities: Floats

    @property
    def answers(self) -> Wholes:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidences(self) -> Floats:
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def right(self) -> Booleans:
        return np.asarray(self.answers == self.targets)

    def top(self, count: int) -> float:
        best = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return _mean((best == self.targets[:, None]).any(axis=1))

    def expected_calibration_error(self) -> float:
        return calibration.expected_calibration_error(self.confidences, self.right)

    def unknown(self, below: float) -> tuple[float, float]:
        """The share of images below a threshold, and the top-1 accuracy of the others."""
        known = self.confidences >= below
        return _mean(~known), _mean(self.right[known])

    def temperature(self) -> float:
        return calibration.fit_temperature(self.log_probabilities(), self.targets)

    def threshold(self, temperature: float, lost: float) -> float:
        """The score, after such a scaling, below which this share of correct answers lies."""
        confidences = calibration.softmax(self.log_probabilities() / temperature).max(axis=1)
        return calibration.unknown_threshold(confidences, self.right, lost)

    def log_probabilities(self) -> Floats:
        """Logits, up to a constant per row."""
        return np.log(np.maximum(self.probabilities, _LEAST))

    def per_class(self) -> dict[str, float]:
        images = Counter(self.folders)
        hits = Counter(f for f, good in zip(self.folders, self.right, strict=True) if good)
        return {folder: hits[folder] / count for folder, count in sorted(images.items())}

    def confusion(self) -> Mapping[str, Mapping[str, int]]:
        found: dict[str, Counter[str]] = {}
        for target, answer in zip(self.targets, self.answers, strict=True):
            found.setdefault(self.labels[target], Counter())[self.labels[answer]] += 1
        return {label: dict(counts.most_common()) for label, counts in sorted(found.items())}


def _mean(values: Booleans) -> float:
    return float(values.mean()) if len(values) else 0.0
