"""The interface of runtimes: a network in one precision, images in, scores out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from visionfleet.imaging.model_input import Pixels

Floats = npt.NDArray[np.float32]


class Network(Protocol):
    def scores(self, batch: Sequence[Pixels]) -> Floats:
        """A row of scores for each image; RuntimeError if it fails. Thread-safe."""
        ...

    @property
    def features(self) -> int | None:
        """The length of the last layer's input; None if unknown."""
        ...

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        """The same scores, and a row of features for each image, where known."""
        ...
