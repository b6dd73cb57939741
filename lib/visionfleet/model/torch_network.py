"""A network on torch: CPU or GPU, one precision."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from visionfleet.imaging.model_input import Pixels, Preprocessing
from visionfleet.model.features import Split
from visionfleet.model.network import Floats

# What modules raise for unsupported sizes; exported programs assert.
MODEL_ERRORS = (RuntimeError, AssertionError, TypeError, ValueError, IndexError)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchNetwork:
    """Runs a module, initially in float32."""

    def __init__(self, module: nn.Module, how: Preprocessing, device: torch.device) -> None:
        for weights in module.parameters():
            weights.requires_grad_(False)
        self.module = module.to(device)
        if not isinstance(self.module, torch.jit.ScriptModule):
            self.module = self.module.to(memory_format=torch.channels_last)
        self.dtype, self.device = torch.float32, device
        self._singly = False
        # Pixel rows are R,G,B,R,G,B...: repeating the factors in that order makes a row one vector,
        # some 30 times faster than broadcasting over channels.
        std = torch.tensor(how.std).repeat(how.crop)
        self._scale = (1 / (255 * std)).to(device)
        self._shift = (-torch.tensor(how.mean).repeat(how.crop) / std).to(device)

    def replaced(self, module: nn.Module) -> "TorchNetwork":
        other = copy.copy(self)
        other.module = module
        return other

    def one_by_one(self) -> "TorchNetwork":
        """A copy that feeds its module one image at a time, for models traced so."""
        other = self.replaced(self.module)
        other._singly = True
        return other

    def converted(self, precision: str) -> "TorchNetwork":
        """A copy in another precision; the module may refuse that."""
        if DTYPES[precision] == self.dtype:
            return self
        other = self.replaced(copy.deepcopy(self.module).to(DTYPES[precision]))
        other.dtype = DTYPES[precision]
        return other

    @property
    def features(self) -> int | None:
        return self.module.last.in_features if isinstance(self.module, Split) else None

    def scores(self, batch: Sequence[Pixels]) -> Floats:
        if self._singly and len(batch) > 1:
            return np.concatenate([self.scores([pixels]) for pixels in batch])
        with torch.inference_mode():
            return self._run(self.module, self.prepared(batch))

    def scores_and_features(self, batch: Sequence[Pixels]) -> tuple[Floats, Floats | None]:
        if not isinstance(self.module, Split):
            return self.scores(batch), None
        with torch.inference_mode():
            features = self._run(self.module.body, self.prepared(batch))
            again = torch.from_numpy(features).to(self.device, self.dtype)
            return self._run(self.module.last, again), features

    @staticmethod
    def _run(module: nn.Module, images: Tensor) -> Floats:
        try:
            given: object = module(images)
        except MODEL_ERRORS as error:
            raise RuntimeError(last_line(error)) from error
        if not isinstance(given, Tensor):
            kind = type(given).__name__
            raise RuntimeError(f"the model gives {kind}, not a tensor of scores")
        found: Floats = given.float().cpu().numpy()
        return found

    def prepared(self, batch: Sequence[Pixels]) -> Tensor:
        """Stack, move to the device and normalize: N x 3 x H x W, channels last."""
        height, width, _ = batch[0].shape
        shape = (len(batch), height, width, 3)
        # From pinned memory the GPU copies asynchronously.
        stacked = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        np.stack(batch, out=stacked.numpy())
        rows = stacked.to(self.device, non_blocking=True).view(len(batch), height, 3 * width)
        normal = torch.addcmul(self._shift, rows.float(), self._scale).to(self.dtype)
        return normal.view(shape).permute(0, 3, 1, 2)


def last_line(error: Exception) -> str:
    """The last line of an error, as TorchScript puts its traceback first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
