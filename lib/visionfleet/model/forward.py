"""One network in one precision on one device: pixels in, probabilities out."""

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from visionfleet.imaging.preprocess import Pixels
from visionfleet.model.loaded import Loaded

# What modules raise for images that they were not made for; exported programs assert.
MODEL_ERRORS = (RuntimeError, AssertionError, TypeError, ValueError, IndexError)


@dataclass(slots=True)
class Stages:
    """Seconds spent since the start, by what they were spent on."""

    prepare: float = 0.0
    forward: float = 0.0
    rank: float = 0.0


class Forward:
    """Runs a network, in batches or one image after the other; in float32 to begin with."""

    def __init__(self, loaded: Loaded, device: torch.device) -> None:
        self.module = loaded.module.to(device)
        if not isinstance(self.module, torch.jit.ScriptModule):
            self.module = self.module.to(memory_format=torch.channels_last)
        self.dtype, self.device, self.singly = torch.float32, device, False
        self.seconds = Stages()
        self._classes, self._temperature = len(loaded.labels), loaded.temperature
        how = loaded.preprocessing
        # Rows of pixels are R,G,B,R,G,B...: with the factors repeated in that order a whole row is
        # one vector, which is some 30 times quicker than to broadcast over the channels.
        std = torch.tensor(how.std).repeat(how.crop)
        self._scale = (1 / (255 * std)).to(device)
        self._shift = (-torch.tensor(how.mean).repeat(how.crop) / std).to(device)

    def replaced(self, module: nn.Module, dtype: torch.dtype) -> "Forward":
        other = copy.copy(self)
        other.module, other.dtype, other.seconds = module, dtype, Stages()
        return other

    def probabilities(self, batch: Sequence[Pixels]) -> Tensor:
        """Compute float32 probabilities on the CPU, a row an image; RuntimeError without scores."""
        with torch.inference_mode():
            if not self.singly:
                return self._run(batch)
            return torch.cat([self._run([pixels]) for pixels in batch])

    def prepared(self, batch: Sequence[Pixels]) -> Tensor:
        """Stack, move to the device and normalise: N x 3 x H x W, channels last."""
        height, width, _ = batch[0].shape
        shape = (len(batch), height, width, 3)
        # From pinned memory a GPU fetches by itself, while the processor goes on.
        stacked = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        np.stack(batch, out=stacked.numpy())
        rows = stacked.to(self.device, non_blocking=True).view(len(batch), height, 3 * width)
        normal = torch.addcmul(self._shift, rows.float(), self._scale).to(self.dtype)
        return normal.view(shape).permute(0, 3, 1, 2)

    def _run(self, batch: Sequence[Pixels]) -> Tensor:
        started = time.perf_counter()
        images = self.prepared(batch)
        prepared = time.perf_counter()
        found = torch.softmax(self._scores(images).float() / self._temperature, dim=1).cpu()
        if not torch.isfinite(found).all():
            raise RuntimeError("the model gave scores that are not finite")
        self.seconds.prepare += prepared - started
        self.seconds.forward += time.perf_counter() - prepared
        return found

    def _scores(self, images: Tensor) -> Tensor:
        try:
            scores: object = self.module(images)
        except MODEL_ERRORS as error:
            raise RuntimeError(last_line(error)) from error
        expected = (len(images), self._classes)
        if not isinstance(scores, Tensor) or tuple(scores.shape) != expected:
            found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise RuntimeError(f"the model gives {found}, not {expected} images and labels")
        return scores


def last_line(error: Exception) -> str:
    """Shorten the errors of models: TorchScript puts its traceback before the reason."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
