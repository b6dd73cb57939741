"""Exports a network to a file that needs no model library, for workers on torch."""

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from visionfleet.model.batchnorm_folding import fold
from visionfleet.model.exported_program import load_program


def program_of(module: nn.Module, side: int) -> bytes | None:
    """Export it, or else trace it; None if neither works."""
    images = torch.zeros(2, 3, side, side)
    plain = isinstance(module, torch.jit.ScriptModule) or any(
        isinstance(part, torch.jit.ScriptModule) for part in module.modules()
    )
    ways: list[Callable[[], bytes]] = [lambda: _traced(module, images)]
    if not plain:
        ways.insert(0, lambda: _exported(fold(module, images)[0], images))
    return next((program for way in ways if (program := _tried(way)) is not None), None)


def _tried(way: Callable[[], bytes]) -> bytes | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            return way()
    except Exception:  # torch's compilers raise many kinds
        return None


class _Images(nn.Module):
    """Names the network's input `images`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.network(images)
        return scores


def _exported(module: nn.Module, images: Tensor) -> bytes:
    sizes = {"images": {0: torch.export.Dim("images")}}
    program = torch.export.export(_Images(module).eval(), (images,), dynamic_shapes=sizes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    load_program(buffer.getvalue(), "the exported network")  # workers check it too
    return buffer.getvalue()


def _traced(module: nn.Module, images: Tensor) -> bytes:
    with torch.inference_mode():
        traced = torch.jit.trace(module.eval(), images)  # type: ignore[no-untyped-call]
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer)
    return buffer.getvalue()
