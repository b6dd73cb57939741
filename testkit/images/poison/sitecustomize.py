"""Python imports this at its start: some images then do to the process that decodes them what their
side says.

It stands for faults in decoders. Put this folder first in PYTHONPATH.
"""

import os
import signal
import time
from collections.abc import Callable

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
