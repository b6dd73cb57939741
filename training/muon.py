"""Muon for the kernels of convolutions: momentum steps whose singular values are made equal.

torch.optim.Muon takes matrices only, and computes in bfloat16, slowly where a processor lacks it.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

# A quintic that drives singular values from (0, 1] towards 1, quickest for the small ones.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 4


class Muon(torch.optim.Optimizer):
    """Steps of the same size in every direction; each kernel keeps its norm."""

    def __init__(self, kernels: Iterable[Tensor], lr: float, momentum: float) -> None:
        super().__init__(list(kernels), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every kernel from its gradient."""
        assert closure is None, "a step takes the gradients that are there"
        for group in self.param_groups:
            for kernel in group["params"]:
                mean = self.state[kernel].setdefault("mean", torch.zeros_like(kernel))
                mean.mul_(group["momentum"]).add_(kernel.grad)
                ahead = kernel.grad.add(mean, alpha=group["momentum"])
                update = orthogonal(ahead.flatten(1)).view(kernel.shape)
                # The norm behind it makes a kernel's length meaningless; held, a rate is a turn.
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm()).sub_(update, alpha=group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Bring the singular values of a matrix near 1 (Newton-Schulz)."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        gram = wide @ wide.T
        wide = _A * wide + (_B * gram + _C * gram @ gram) @ wide
    found: Tensor = wide if matrix.shape[0] <= matrix.shape[1] else wide.T
    return found
