"""Reads the parameters of a request's query. No I/O here."""

from visionfleet.web.problems import Problem

TOP_MOST = 1000
TOP_DEFAULT = 5


def seconds(text: str | None, default: float, most: float) -> float:
    """Read `wait`; raises Problem when it is no number from 0 to `most`."""
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:  # false for not-a-number as well
        raise Problem("bad_parameter", f"wait: expected 0 to {most:g} seconds, got {text[:40]!r}")
    return value


def top(text: str | None) -> int:
    """Read `top`; raises Problem when it is no whole number from 1 to `TOP_MOST`."""
    if text is None:
        return TOP_DEFAULT
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= value <= TOP_MOST:
        raise Problem("bad_parameter", f"top: expected 1 to {TOP_MOST}, got {text[:40]!r}")
    return value
