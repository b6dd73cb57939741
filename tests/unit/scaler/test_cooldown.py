"""How long a worker that is not needed stays, by what would lately have cost least."""

import pytest

from visionfleet.scaler.cooldown import LONGEST, SHARES, Cooldown

HOLD, BOOT, STEP = 120.0, 45.0, 4


def watched(sizes: list[int], hold: float = HOLD, before: Cooldown | None = None) -> Cooldown:
    """Look each four seconds."""
    cooldown = before or Cooldown()
    start = 0.0 if before is None else cooldown.at + STEP
    for index, size in enumerate(sizes):
        cooldown = cooldown.updated(size, hold, BOOT, start + index * STEP)
    return cooldown


def on_and_off(on_seconds: int, off_seconds: int, times: int = 20) -> list[int]:
    return ([5] * (on_seconds // STEP) + [0] * (off_seconds // STEP)) * times


def test_cooldown_is_the_setting_until_another_is_cheaper() -> None:
    assert watched([1]).seconds == HOLD
    assert watched([3] * 100).seconds == HOLD, "nobody was ever not needed"


@pytest.mark.parametrize(
    ("on", "off", "seconds", "shows"),
    [
        (240, 400, 30.0, "the gap is longer than any cooldown: leave soon"),
        (240, 200, 30.0, "a boot and a wait are cheaper than 200 s of doing nothing"),
        (120, 100, 120.0, "100 s of doing nothing are cheaper than a boot and a wait"),
        (60, 48, 60.0, "no longer than it must be"),
    ],
)
def test_cooldown_follows_the_gaps(on: int, off: int, seconds: float, shows: str) -> None:
    cooldown = watched(on_and_off(on, off))
    kept = {share * HOLD for share in SHARES if share * HOLD > off}
    assert cooldown.seconds == seconds or {cooldown.seconds, seconds} <= kept, shows
    assert (cooldown.seconds > off) == (seconds > off), shows


def test_other_traffic_is_followed_within_an_hour() -> None:
    rare = watched(on_and_off(120, 480))
    assert rare.seconds == 30
    frequent = watched(on_and_off(60, 60, times=30), before=rare)
    assert frequent.seconds >= 60


def test_size_is_kept_until_the_cooldown_is_over() -> None:
    cooldown = watched([2, 1, 0], hold=60)
    kept = {}
    for now in range(12, 100, STEP):
        cooldown = cooldown.updated(0, 60, BOOT, now)
        kept[now] = cooldown.size_to_keep(now)
    assert kept[56] is None, "not watched for long enough"
    assert (kept[60], kept[64], kept[68], kept[96]) == (2, 1, 0, 0)


def test_what_was_last_seen_holds_through_a_gap_of_looks() -> None:
    cooldown = watched([3] * 60).updated(0, HOLD, BOOT, 1000.0)
    assert cooldown.size_to_keep(1000.0) == 3, (
        "it was needed when last seen, and nobody looked since"
    )


def test_no_cooldown_means_none() -> None:
    cooldown = watched([5, 0], hold=0.0)
    assert cooldown.seconds == 0
    assert cooldown.size_to_keep(cooldown.at) == 0


def test_memory_is_bounded_by_the_size_of_the_fleet() -> None:
    cooldown = watched([size % 7 for size in range(5000)])
    assert len(cooldown.peaks) <= 7
    assert cooldown.seconds <= LONGEST * HOLD
