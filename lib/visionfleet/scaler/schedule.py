"""Hours in which more workers than the minimum run. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` until before `end` on these days: minutes of the day; Monday is day 0.

    A window whose end is not after its start goes on into the next day.
    """

    days: frozenset[int]
    start: int
    end: int
    minimum: int
    timezone: str = "UTC"


def minimum_at(windows: Sequence[Window], minimum: int, now: float) -> int:
    """The greatest minimum that holds at `now`, a Unix time in seconds."""
    return max([minimum, *(w.minimum for w in windows if _holds(w, now))])


def _holds(window: Window, now: float) -> bool:
    local = datetime.fromtimestamp(now, ZoneInfo(window.timezone))
    today, minute = local.weekday(), local.hour * 60 + local.minute
    if window.start < window.end:
        return today in window.days and window.start <= minute < window.end
    if minute >= window.start:
        return today in window.days
    return minute < window.end and (today - 1) % 7 in window.days


def minutes(text: str) -> int:
    """Read a time of day: 08:30 is 510."""
    hours, _, rest = text.partition(":")
    return int(hours) * 60 + int(rest)
