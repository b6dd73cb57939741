"""The model in use: batches of pixels in, rankings out, for any runtime."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np

from visionfleet.contract.messages import ModelInfo, Ranked
from visionfleet.contract.vectors import encode_vector
from visionfleet.evaluation.calibration import softmax
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.choice import Chosen
from visionfleet.model.network import Floats, Network

Ranking: TypeAlias = tuple[Ranked, ...]


class Described(Protocol):
    @property
    def info(self) -> ModelInfo: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def preprocessing(self) -> Preprocessing: ...
    @property
    def temperature(self) -> float: ...
    @property
    def unknown_below(self) -> float: ...


class Inference:
    """A network with its labels."""

    def __init__(self, network: Network, about: Described, chosen: Chosen) -> None:
        self.info = about.info
        self.labels, self.preprocessing = about.labels, about.preprocessing
        self.temperature = about.temperature
        self.unknown_below = about.unknown_below
        self.precision = chosen
        self._network = network

    @property
    def features(self) -> int | None:
        """The length of `rank_and_embed`'s vectors; None if there are none."""
        return self._network.features

    def rank(self, batch: Sequence[Pixels], top: int) -> list[Ranking]:
        """Rank the classes for each H x W x 3 array, best first; RuntimeError if it fails."""
        return self._ranked(self.probabilities(batch), top)

    def rank_and_embed(self, batch: Sequence[Pixels], top: int) -> list[tuple[Ranking, str | None]]:
        """Rank, and encode each image's features as in results."""
        scores, features = self.scores_and_features(batch)
        rankings = self._ranked(self._probable(scores), top)
        if features is None:
            return [(ranking, None) for ranking in rankings]
        texts = [encode_vector(row) for row in features.tolist()]
        return list(zip(rankings, texts, strict=True))

    def _ranked(self, found: Floats, top: int) -> list[Ranking]:
        # Equal scores in the order of their index, for any `top`.
        order = np.argsort(-found, axis=1, kind="stable")[:, :top]
        scores = np.take_along_axis(found, order, axis=1)
        return [
            tuple(
                Ranked(index=index, label=self.labels[index], score=score)
                for score, index in zip(*row, strict=True)
            )
            for row in zip(scores.tolist(), order.tolist(), strict=True)
        ]

    def probabilities(self, batch: Sequence[Pixels]) -> Floats:
        """A row of probabilities for each image; RuntimeError if it fails."""
        return self._probable(self.scores(batch))

    def _probable(self, scores: Floats) -> Floats:
        found = softmax(scores / np.float32(self.temperature))
        if not np.isfinite(found).all():
            raise RuntimeError("the model gave scores that are not finite")
        return found

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        return self._checked(self._network.scores(batch), batch)

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        scores, features = self._network.scores_and_features(batch)
        if features is not None and not np.isfinite(features).all():
            raise RuntimeError("the model gave features that are not finite")
        return self._checked(scores, batch), features

    def _checked(self, found: Floats, batch: Sequence[Pixels]) -> Floats:
        expected = (len(batch), len(self.labels))
        if found.shape != expected:
            raise RuntimeError(f"the model gives {found.shape}, not {expected} images and labels")
        return found
