"""Backoff between attempts."""

from itertools import islice
from random import Random

from visionfleet.backoff import backoff_seconds, growing_waits


def test_backoff_stays_below_its_growing_bound() -> None:
    random = Random(1)
    for attempt, bound in [(1, 2), (2, 4), (3, 8), (7, 120), (500, 120)]:
        draws = [backoff_seconds(attempt, random) for _ in range(200)]
        assert min(draws) >= 0
        assert bound * 0.9 < max(draws) <= bound  # full jitter uses the whole range


def test_backoff_waits_never_spin_and_stay_below_the_cap() -> None:
    waits = list(islice(growing_waits(Random(1), base=0.5, cap=30), 40))
    assert all(0.25 <= wait <= 30 for wait in waits)
    assert all(wait >= 15 for wait in waits[7:])
