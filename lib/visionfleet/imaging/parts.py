"""Limits the number of parts of a file, as readers of headers loop over them."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from visionfleet.errors import BadImage

# In 20 MiB that is 400 bytes per part; encoders write 8 KiB and more. It takes 0.2 s.
MAX_PARTS = 50_000

_Part = TypeVar("_Part")


def bounded(parts: Iterable[_Part]) -> Iterator[_Part]:
    """Pass the parts on; raises BadImage if there are too many."""
    for number, part in enumerate(parts):
        if number >= MAX_PARTS:
            reason = f"the file has more than {MAX_PARTS} parts"
            raise BadImage("cannot_be_decoded", reason)
        yield part
