"""The forward pass: batches of pixels in, rankings out."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from visionfleet.errors import BadModel
from visionfleet.messages import ModelInfo, Ranked
from visionfleet.model.loading import Loaded
from visionfleet.preprocessing import Pixels, Preprocessing

log = logging.getLogger("classifier")

_AGREEMENT = 1e-2  # largest difference of a probability between a batch and single images


class Inference:
    """A loaded model, warmed up at the shapes it will serve.

    Raises BadModel when the model does not fit its labels. A model that was traced for one
    image at a time is found out at the start and fed singly.
    """

    def __init__(self, loaded: Loaded, batch_size: int, threads: int) -> None:
        torch.set_num_threads(threads)
        self.info: ModelInfo = loaded.info
        self.preprocessing: Preprocessing = loaded.preprocessing
        self._labels = loaded.labels
        self._module = _laid_out(loaded.module)
        self._mean = torch.tensor(loaded.preprocessing.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(loaded.preprocessing.std).view(1, 3, 1, 1)
        self._warm_up(batch_size)

    def rank(self, batch: Sequence[Pixels], top: int) -> list[tuple[Ranked, ...]]:
        """Rank the classes for each of N arrays of H x W x 3 bytes, best first.

        Raises RuntimeError when the model fails on this batch.
        """
        best = torch.topk(self._probabilities(batch), min(top, len(self._labels)))
        return [
            tuple(
                Ranked(index=index, label=self._labels[index], score=score)
                for score, index in zip(scores, indices, strict=True)
            )
            for scores, indices in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def _probabilities(self, batch: Sequence[Pixels]) -> Tensor:
        with torch.inference_mode():
            if self._singly:
                logits = torch.cat([self._forward([pixels]) for pixels in batch])
            else:
                logits = self._forward(batch)
            if not torch.isfinite(logits).all():
                raise RuntimeError("the model gave scores that are not finite")
            return torch.softmax(logits.float(), dim=1)

    def _forward(self, batch: Sequence[Pixels]) -> Tensor:
        # N x H x W x 3 seen as N x 3 x H x W is channels_last, the layout convolutions like.
        bytes_ = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        logits = self._module((bytes_.float() / 255 - self._mean) / self._std)
        expected = (len(batch), len(self._labels))
        if not isinstance(logits, Tensor) or tuple(logits.shape) != expected:
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise RuntimeError(f"the model gives {found}, not {expected} images and labels")
        return logits

    def _warm_up(self, batch_size: int) -> None:
        side = self.preprocessing.crop
        noise = np.random.default_rng(0).integers(0, 256, (batch_size, side, side, 3), np.uint8)
        batch = list(noise)
        self._singly = True
        try:
            expected = self._probabilities(batch)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise BadModel(
                f"model {self.info.name}: the first forward pass failed: {reason}"
            ) from error
        self._singly = not self._batches_like_singles(batch, expected)

    def _batches_like_singles(self, batch: list[Pixels], expected: Tensor) -> bool:
        if len(batch) == 1:
            return True
        self._singly = False
        try:
            same = torch.allclose(self._probabilities(batch), expected, atol=_AGREEMENT)
        except RuntimeError:
            same = False
        if not same:
            log.warning("model takes one image at a time", extra={"model": self.info.name})
        return same


def _laid_out(module: nn.Module) -> nn.Module:
    """Bring plain modules to channels_last; TorchScript keeps the layout it was made with."""
    if isinstance(module, torch.jit.ScriptModule):
        return module
    return module.to(memory_format=torch.channels_last)
