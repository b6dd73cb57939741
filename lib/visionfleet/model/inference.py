"""The model at work: batches of pixels in, rankings out, whatever the runtime."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from visionfleet.contract.messages import ModelInfo, Ranked
from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.choice import Chosen
from visionfleet.model.network import Floats, Network


class Described(Protocol):
    """What is known of a model beside its network."""

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
    """A network with its labels; one that was made for one image at a time is fed `singly`."""

    def __init__(
        self, network: Network, about: Described, chosen: Chosen, singly: bool = False
    ) -> None:
        self.info = about.info
        self.labels, self.preprocessing = about.labels, about.preprocessing
        self.temperature = about.temperature
        self.unknown_below = about.unknown_below
        self.precision = chosen
        self._network, self._singly = network, singly

    def rank(self, batch: Sequence[Pixels], top: int) -> list[tuple[Ranked, ...]]:
        """Rank the classes for each H x W x 3 array, best first; RuntimeError if it fails."""
        found = self.probabilities(batch)
        # Equal scores in the order of their index, whatever `top` is.
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
        """Compute a row of probabilities for each image; RuntimeError if it fails."""
        found = softmax(self.scores(batch) / np.float32(self.temperature))
        if not np.isfinite(found).all():
            raise RuntimeError("the model gave scores that are not finite")
        return found

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        if self._singly and len(batch) > 1:
            return np.concatenate([self.scores([pixels]) for pixels in batch])
        found = self._network.scores(batch)
        expected = (len(batch), len(self.labels))
        if found.shape != expected:
            raise RuntimeError(f"the model gives {found.shape}, not {expected} images and labels")
        return found


def softmax(scores: Floats) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is told by its reader
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found
