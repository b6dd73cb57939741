"""A last layer trained on features: multinomial logistic regression with an L2 penalty.

Penalty, temperature and threshold come from cross-validation: photos are judged by a layer trained
without them. No I/O here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from visionfleet.evaluation.calibration import (
    fit_temperature,
    negative_log_likelihood,
    softmax,
    unknown_threshold,
)
from visionfleet.model.network import Floats

Whole = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

PENALTIES = (1e-4, 1e-3, 1e-2)
FOLDS = 5
# The share of correct answers below the threshold, as in `visionfleet evaluate`.
_LOST_SHARE = 0.1
# Features are normalized to this length, so that a penalty means the same for every network.
_LENGTH = 10.0
# Photos of a class more similar than this show the same scene, and go into one fold.
ALIKE = 0.98
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Material:
    """Features of photos and of their augmented views, projected to the subspace that they span."""

    rows: Tensor
    views: Sequence[Tensor]
    targets: Whole
    classes: int
    centre: Doubles
    axes: Doubles  # back to the original dimensions


@dataclass(frozen=True, slots=True)
class Head:
    """The layer in the original dimensions."""

    weights: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Judged:
    """Cross-validated scores: a row for each photo, by a layer that was not trained on it."""

    penalty: float
    scores: Doubles
    temperature: float
    unknown_below: float


def material(features: Floats, views: Sequence[Floats], targets: Whole, classes: int) -> Material:
    every = np.concatenate([features, *views]).astype(np.float64)
    centre = every.mean(axis=0)
    spread = float(np.sqrt(every.var(axis=0).sum())) or 1.0
    left, sizes, axes = np.linalg.svd((every - centre) * (_LENGTH / spread), full_matrices=False)
    kept = sizes > 1e-6 * sizes[0]
    rows = torch.from_numpy(left[:, kept] * sizes[kept])
    scaled = axes[kept] * (_LENGTH / spread)
    first, *others = torch.split(rows, len(features))
    return Material(first, others, targets, classes, centre, scaled)


def judge(given: Material, groups: Whole) -> Judged:
    folds = list(folds_of(given.targets, groups))
    tried = []
    for penalty in PENALTIES:
        scores = held_out(given, folds, penalty)
        temperature = fit_temperature(scores, given.targets)
        loss = negative_log_likelihood(scores / temperature, given.targets)
        tried.append((loss, penalty, scores, temperature))
    _, penalty, scores, temperature = min(tried, key=lambda one: one[0])
    confidences = softmax(scores / temperature).max(axis=1)
    right = scores.argmax(axis=1) == given.targets
    return Judged(penalty, scores, temperature, unknown_threshold(confidences, right, _LOST_SHARE))


def held_out(
    given: Material, folds: Sequence[Whole], penalty: float, most: int | None = None
) -> Doubles:
    """Score each fold by a layer trained on the others, with at most `most` photos per class."""
    scores = np.zeros((len(given.targets), given.classes))
    for fold in folds:
        others = np.setdiff1d(np.arange(len(given.targets)), fold)
        if most is not None:
            others = first_of_each(others, given.targets, most)
        weights, bias = _fitted(given, others, penalty)
        scores[fold] = (given.rows[fold] @ weights + bias).numpy()
    return scores


def fit(given: Material, penalty: float) -> Head:
    weights, bias = _fitted(given, np.arange(len(given.targets)), penalty)
    real = given.axes.T @ weights.numpy()
    shift = bias.numpy() - given.centre @ real
    return Head(real.T.astype(np.float32), shift.astype(np.float32))


def folds_of(targets: Whole, groups: Whole) -> Iterator[Whole]:
    """Split the photos into stratified folds; groups stay together.

    If a class has fewer groups than folds, its photos are split individually.
    """
    places = np.zeros(len(targets), int)
    for label in np.unique(targets):
        own = np.flatnonzero(targets == label)
        few = len(np.unique(groups[own])) < FOLDS
        numbers = np.arange(len(own)) if few else np.unique(groups[own], return_inverse=True)[1]
        places[own] = numbers % FOLDS
    return (np.flatnonzero(places == fold) for fold in range(FOLDS) if (places == fold).any())


def groups_of(features: Floats, targets: Whole) -> Whole:
    """Number the photos; near duplicates of a class share a number."""
    groups = np.arange(len(targets))
    close = cosines(features) >= ALIKE
    for one, other in np.argwhere(np.triu(close, 1)):
        if targets[one] == targets[other]:
            groups[groups == groups[other]] = groups[one]
    return groups


def cosines(features: Floats) -> Floats:
    """Of all pairs, after subtracting the mean."""
    features = features - features.mean(axis=0)
    units = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    found: Floats = units @ units.T
    return found


def first_of_each(photos: Whole, targets: Whole, most: int) -> Whole:
    own = (photos[targets[photos] == label][:most] for label in np.unique(targets))
    return np.concatenate(list(own))


def _fitted(given: Material, photos: Whole, penalty: float) -> tuple[Tensor, Tensor]:
    rows = torch.cat([view[photos] for view in (given.rows, *given.views)])
    targets = torch.from_numpy(np.tile(given.targets[photos], 1 + len(given.views)))
    weights = torch.zeros(rows.shape[1], given.classes, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(given.classes, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = torch.nn.functional.cross_entropy(rows @ weights + bias, targets)
        found = found + penalty / 2 * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()
