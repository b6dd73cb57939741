"""Traces: counts per minute, scaled to a fleet, and arrivals per second drawn from them."""

import csv
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from random import Random

SECONDS_PER_MINUTE = 60


class BadTrace(ValueError):
    """A trace cannot be read; the message names the line."""


def read(lines: Iterable[str]) -> list[int]:
    """Read `minute,count` rows with a header, one per minute. Raises BadTrace."""
    counts = []
    for number, row in enumerate(csv.DictReader(lines), start=2):
        text = row.get("count") or ""
        if not text.strip().isdecimal():
            raise BadTrace(f"line {number}: expected minute,count, got {text!r}")
        counts.append(int(text))
    if not counts:
        raise BadTrace("no rows: expected a header `minute,count` and one row per minute")
    return counts


def read_seconds(lines: Iterable[str]) -> list[int]:
    """Read `second,count` rows, possibly with gaps: exact arrivals."""
    found: dict[int, int] = {}
    for number, row in enumerate(csv.DictReader(lines), start=2):
        second, count = (row.get(name) or "" for name in ("second", "count"))
        if not (second.strip().isdecimal() and count.strip().isdecimal()):
            raise BadTrace(f"line {number}: expected second,count, got {second!r},{count!r}")
        found[int(second)] = found.get(int(second), 0) + int(count)
    if not found:
        raise BadTrace("no rows: expected a header `second,count` and rows")
    return [found.get(second, 0) for second in range(min(found), max(found) + 1)]


def has_seconds(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].strip() == "second,count"


def begins_at(lines: Iterable[str]) -> float:
    """The Unix time of the first row: its date, else midnight on a Monday."""
    minute = next((row.get("minute") or "" for row in csv.DictReader(lines)), "")
    try:
        begun = datetime.fromisoformat(minute)
    except ValueError:
        begun = datetime(1970, 1, 5)
    return (begun if begun.tzinfo else begun.replace(tzinfo=UTC)).timestamp()


def scale(counts: Sequence[int], workers: int, service_seconds: float, share: float) -> float:
    """The factor with which the minute at quantile `share` keeps so many workers busy."""
    ordered = sorted(counts)
    busiest = ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return workers * SECONDS_PER_MINUTE / service_seconds / max(1, busiest)


def arrivals(counts: Iterable[int], factor: float, random: Random) -> list[int]:
    """Draw the arrivals of each second from a Poisson distribution with the scaled rate."""
    drawn: list[int] = []
    for count in counts:
        table = _poisson_table(count * factor / SECONDS_PER_MINUTE)
        drawn += [bisect_left(table, random.random()) for _ in range(SECONDS_PER_MINUTE)]
    return drawn


def _poisson_table(mean: float) -> list[float]:
    """Cumulative probabilities of 0, 1, 2 ... events, far beyond the mean."""
    if mean == 0:
        return [1.0]
    table, total = [], 0.0
    for events in range(int(mean + 8 * math.sqrt(mean) + 10)):
        total += math.exp(events * math.log(mean) - mean - math.lgamma(events + 1))
        table.append(total)
    return table
