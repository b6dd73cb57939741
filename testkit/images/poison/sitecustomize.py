"""Python imports this at its start: some images then do to the process that decodes them what their
side says, and those of one colour end the process in whose model they are.

It stands for faults in decoders and in models. Put this folder first in PYTHONPATH.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from PIL import ImageFile


def _grow() -> None:
    taken = []
    while True:
        taken.append(bytearray(b"x") * (16 << 20))


# By the side of the square, in pixels.
POISON: dict[int, Callable[[], object]] = {
    66: lambda: os.kill(os.getpid(), signal.SIGSEGV),
    67: lambda: os.kill(os.getpid(), signal.SIGSTOP),
    68: lambda: time.sleep(3600),
    69: _grow,
    70: lambda: os._exit(1),
}

_load = ImageFile.ImageFile.load


def load(self: ImageFile.ImageFile) -> object:
    if self.width == self.height and self.width in POISON:
        POISON[self.width]()
    return _load(self)


ImageFile.ImageFile.load = load  # type: ignore[method-assign]

MODEL = "visionfleet.model.inference"
COLOUR = (9, 99, 199)


class _Poisoned(Loader):
    """Loads the module as ever, and lets its model end the process."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for name in ("rank", "rank_and_embed"):
            setattr(module.Inference, name, _poisoned(getattr(module.Inference, name)))


def _poisoned(rank: Callable[..., Any]) -> Callable[..., Any]:
    def poisoned(self: object, batch: Sequence[Any], top: int) -> object:
        if any((pixels == COLOUR).all() for pixels in batch):
            os.kill(os.getpid(), signal.SIGSEGV)
        return rank(self, batch, top)

    return poisoned


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == MODEL else None
        if spec and spec.loader:
            spec.loader = _Poisoned(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
