"""The cross-validated report of a taught model, and the value of more photos. No I/O here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from visionfleet.evaluation.calibration import expected_calibration_error, softmax
from visionfleet.model.teaching.head import (
    ALIKE,
    Judged,
    Material,
    Whole,
    cosines,
    folds_of,
    held_out,
)
from visionfleet.model.teaching.photos import LeftOut, Seen

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Learning:
    """Cross-validated accuracy by photos per class, extrapolated to two and four times as many."""

    measured: tuple[tuple[int, float], ...]
    expected: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All figures are of held-out photos; `mixed_up` is (class, mistaken for, count)."""

    photos: int
    classes: int
    accuracy: float
    margin: float
    calibration_error: float
    unsure: float
    by_class: tuple[tuple[str, int, float], ...]
    mixed_up: tuple[tuple[str, str, int], ...]
    learning: Learning
    alike: tuple[tuple[str, str], ...]
    left_out: LeftOut


def report(seen: Seen, given: Material, judged: Judged, groups: Whole, left: LeftOut) -> Report:
    answers, right = judged.scores.argmax(axis=1), judged.scores.argmax(axis=1) == seen.targets
    sure = softmax(judged.scores / judged.temperature).max(axis=1)
    accuracy, labels = float(right.mean()), seen.labels
    pairs = Counter(
        (labels[target], labels[answer])
        for target, answer in zip(seen.targets, answers, strict=True)
        if target != answer
    )
    own = [seen.targets == number for number in range(len(labels))]
    return Report(
        photos=len(seen.targets),
        classes=len(labels),
        accuracy=accuracy,
        margin=1.96 * float(np.sqrt(accuracy * (1 - accuracy) / len(right))),
        calibration_error=expected_calibration_error(sure, right),
        unsure=float((sure < judged.unknown_below).mean()),
        by_class=tuple(
            (label, int(one.sum()), float(right[one].mean()))
            for label, one in zip(labels, own, strict=True)
        ),
        mixed_up=tuple((a, b, count) for (a, b), count in pairs.most_common()),
        learning=learning(given, judged, groups),
        alike=_alike(seen),
        left_out=left,
    )


def learning(given: Material, judged: Judged, groups: Whole) -> Learning:
    """Train on fewer photos, and extrapolate the error linearly in log-log."""
    folds = list(folds_of(given.targets, groups))
    most = int(np.bincount(given.targets).min()) * (len(folds) - 1) // len(folds)
    sizes = sorted({max(2, most // 4), max(2, most // 2), most})
    found = []
    for size in sizes:
        scores = held_out(given, folds, judged.penalty, size)
        found.append((size, float((scores.argmax(axis=1) == given.targets).mean())))
    return Learning(tuple(found), _extrapolated(found, len(given.targets)))


def _extrapolated(found: Sequence[tuple[int, float]], photos: int) -> tuple[tuple[int, float], ...]:
    if len(found) < 2:
        return ()
    sizes, errors = (
        np.log(values)
        for values in (
            [size for size, _ in found],
            # Half a mistake instead of none, as log 0 is undefined.
            [max(1 - accuracy, 0.5 / photos) for _, accuracy in found],
        )
    )
    slope, start = np.polyfit(sizes, errors, 1)
    most = found[-1][0]
    return tuple(
        (factor * most, float(1 - np.exp(start + min(slope, 0.0) * np.log(factor * most))))
        for factor in (2, 4)
    )


def _alike(seen: Seen) -> tuple[tuple[str, str], ...]:
    close = np.argwhere(np.triu(cosines(seen.features) >= ALIKE, 1))
    return tuple(
        (seen.names[one], seen.names[other])
        for one, other in close
        if seen.targets[one] != seen.targets[other]
    )


def lines(found: Report) -> list[str]:
    """The report as text."""
    told = [
        f"{found.photos} photos of {found.classes} classes, "
        "judged by layers that have not seen them:",
        f"  right {found.accuracy:.1%} (95 times in 100 within {found.margin:.1%} of that), "
        f"calibration error {found.calibration_error:.1%}, not sure {found.unsure:.1%}",
        *(f"  {label}: {share:.0%} of {count}" for label, count, share in found.by_class),
    ]
    if found.mixed_up:
        told.append("mixes up:")
        told += [f"  {a} taken for {b}: {count}" for a, b, count in found.mixed_up[:_SHOWN]]
    curve = ", ".join(f"{size}: {share:.1%}" for size, share in found.learning.measured)
    told.append(f"by photos of a class: {curve}")
    if found.learning.expected:
        more = ", ".join(f"{size}: about {share:.1%}" for size, share in found.learning.expected)
        told.append(f"with more photos like these, if it goes on so: {more}")
    return told + _left_out(found)


def _left_out(found: Report) -> list[str]:
    left = found.left_out
    told = [f"cannot be read: {name}: {reason}" for name, reason in left.unreadable]
    told += [f"is there twice, and counts once: {name}" for name in left.repeated]
    told += [f"left out, for it is in several classes: {', '.join(n)}" for n in left.contradictory]
    return told + [f"look nearly the same, in two classes: {a}, {b}" for a, b in found.alike]
