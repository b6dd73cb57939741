"""What every runtime gives: a network in one precision, images in, scores out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from visionfleet.imaging.model_input import Pixels

Floats = npt.NDArray[np.float32]


class Network(Protocol):
    def scores(self, batch: Sequence[Pixels]) -> Floats:
        """Compute a row of scores for each image; RuntimeError if it fails. Threads may call it."""
        ...

    @property
    def features(self) -> int | None:
        """How long the vector is of which its last layer makes the scores; None: not known."""
        ...

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        """Compute the same scores, and a row of features for each image where they are known."""
        ...
