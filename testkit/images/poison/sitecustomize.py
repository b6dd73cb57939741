"""Python imports this at its start: decoding an image of 66 x 66 pixels then kills the process.

It stands for a fault in a decoder. Put this folder first in PYTHONPATH.
"""

import os
import signal

from PIL import ImageFile

_load = ImageFile.ImageFile.load


def load(self: ImageFile.ImageFile) -> object:
    if self.size == (66, 66):
        os.kill(os.getpid(), signal.SIGSEGV)
    return _load(self)


ImageFile.ImageFile.load = load  # type: ignore[method-assign]
