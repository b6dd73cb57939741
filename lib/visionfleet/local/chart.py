"""A small bar chart in text. No I/O here."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf

_EIGHTHS = " ▁▂▃▄▅▆▇█"


def bars(values: Sequence[float], height: int) -> list[str]:
    """Draw values as columns, `height` lines from the top one down; the greatest is full."""
    greatest = max(values, default=0)
    filled = [round(value / greatest * height * 8) if greatest else 0 for value in values]
    return [
        "".join(_EIGHTHS[max(0, min(8, eighths - 8 * line))] for eighths in filled)
        for line in reversed(range(height))
    ]


def columns(values: Sequence[tuple[float, float]], width: int, until: float) -> list[float]:
    """Give each of `width` columns up to `until` its highest sample, or the last one before."""
    found: list[float] = []
    last = 0.0
    ends = [until * column / width for column in range(1, width)]
    for start, end in pairwise([-inf, *ends, inf]):
        spanned = [value for second, value in values if start < second <= end]
        found.append(max(spanned, default=last))
        last = spanned[-1] if spanned else last
    return found
