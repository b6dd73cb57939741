"""Scheduled minimums, by a table."""

from datetime import datetime

import pytest

from visionfleet.config.fields import DAYS
from visionfleet.config.scaler import ScalerSection, ScheduleWindow
from visionfleet.scaler.decision import Policy

WORK = ScheduleWindow(days=DAYS[:5], start="08:00", end="18:00", minimum=3)
NIGHT = ScheduleWindow(days=("fri",), start="22:00", end="02:00", minimum=5)
BERLIN = ScheduleWindow(start="09:00", end="10:00", minimum=2, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("day", "time", "least", "shows"),
    [
        (24, "07:59", 1, "before it"),
        (24, "08:00", 3, "a Tuesday from eight on"),
        (24, "17:59", 3, "to the last minute"),
        (24, "18:00", 1, "and no further"),
        (28, "12:00", 1, "not on a Saturday"),
        (27, "22:30", 5, "Friday night"),
        (28, "01:59", 5, "goes on into Saturday"),
        (28, "02:00", 1, "and ends"),
        (27, "01:00", 1, "the night before was a Thursday's"),
        (29, "08:30", 2, "half past nine in Berlin, in winter"),
    ],
)
def test_schedule_takes_the_greatest_minimum_of_the_hour(
    day: int, time: str, least: int, shows: str
) -> None:
    now = datetime.fromisoformat(f"2026-11-{day}T{time}+00:00").timestamp()
    settings = ScalerSection(minimum=1, schedule=(WORK, NIGHT, BERLIN))
    assert Policy(settings, settings.times, 19, 30.0).minimum_at(now) == least, shows
