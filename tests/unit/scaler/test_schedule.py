"""Scheduled minimums, by a table."""

from datetime import UTC, datetime

import pytest

from visionfleet.scaler.schedule import Window, minimum_at, minutes

WORK = Window(frozenset(range(5)), minutes("08:00"), minutes("18:00"), 3)
NIGHT = Window(frozenset({4}), minutes("22:00"), minutes("02:00"), 5)
BERLIN = Window(frozenset(range(7)), minutes("09:00"), minutes("10:00"), 2, "Europe/Berlin")


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
    at = minutes(time)
    now = datetime(2026, 11, day, at // 60, at % 60, tzinfo=UTC).timestamp()
    assert minimum_at((WORK, NIGHT, BERLIN), 1, now) == least, shows
