"""Bounds how many parts a file may have: whoever reads a header goes over them one by one."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from visionfleet.errors import BadImage

# Of 20 MiB that is 400 bytes a part; encoders write 8 KiB and more. It takes 0.2 s.
MAX_PARTS = 50_000

_Part = TypeVar("_Part")


def bounded(parts: Iterable[_Part]) -> Iterator[_Part]:
    """Hand on the parts; raises BadImage when there are too many."""
    for number, part in enumerate(parts):
        if number >= MAX_PARTS:
            reason = f"the file has more than {MAX_PARTS} parts"
            raise BadImage("cannot_be_decoded", reason)
        yield part
