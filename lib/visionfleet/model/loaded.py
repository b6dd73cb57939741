"""A loaded torch model, from any source."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from torch import nn

from visionfleet.contract.messages import ModelInfo
from visionfleet.imaging.model_input import Preprocessing

Kind = Literal["module", "torchscript", "exported", "onnx"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in torch: float32 on the CPU, in evaluation mode.

    Scores are divided by `temperature` before softmax; `unknown_below` applies to the highest
    probability. `source` is its file, `architecture` the network it was loaded into.
    """

    module: nn.Module
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    info: ModelInfo
    kind: Kind = "module"
    temperature: float = 1.0
    unknown_below: float = 0.0
    source: bytes = b""
    architecture: str | None = None

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.source).hexdigest()


def info(name: str, data: bytes) -> ModelInfo:
    """A model's name and fingerprint: the start of its file's SHA-256."""
    return ModelInfo(name=name, fingerprint=hashlib.sha256(data).hexdigest()[:16])
