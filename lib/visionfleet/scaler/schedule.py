"""Hours in which more workers than the minimum run. No I/O here."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from visionfleet.config.scaler import ScheduleWindow


def minimum_at(schedule: Sequence["ScheduleWindow"], minimum: int, now: float) -> int:
    """The greatest minimum that holds at `now`, a Unix time in seconds."""
    return max([minimum, *(window.minimum for window in schedule if _holds(window, now))])


def _holds(window: "ScheduleWindow", now: float) -> bool:
    """A window whose end is not after its start goes on into the next day."""
    local = datetime.fromtimestamp(now, ZoneInfo(window.timezone))
    time, today = f"{local:%H:%M}", local.weekday()
    if window.start < window.end:
        return today in window.weekdays and window.start <= time < window.end
    if time >= window.start:
        return today in window.weekdays
    return time < window.end and (today - 1) % 7 in window.weekdays
