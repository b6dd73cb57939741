"""A small bar chart in text. No I/O here."""

from collections.abc import Sequence

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
    """Turn samples (second, value) into `width` columns up to `until`, each the highest it spans.

    A column without a sample keeps the last value before it.
    """
    found: list[float] = []
    last, position = 0.0, 0
    for column in range(width):
        end = until * (column + 1) / width
        spanned = []
        while position < len(values) and (values[position][0] <= end or column == width - 1):
            spanned.append(values[position][1])
            position += 1
        found.append(max(spanned) if spanned else last)
        last = spanned[-1] if spanned else last
    return found
