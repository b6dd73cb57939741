"""Rate limits by token buckets, and repeated log lines, over time."""

import pytest

from visionfleet.web.http.rate_limit import Bucket, LogThrottle, take


def passed(per_second: float, moments: list[float]) -> list[bool]:
    bucket, found = None, []
    for now in moments:
        bucket, wait = take(bucket, per_second, now)
        found.append(wait == 0)
    return found


def test_rate_limit_allows_a_burst_and_then_the_rate() -> None:
    assert passed(1, [0.0] * 10 + [0.0, 1.0, 1.0, 2.0]) == [True] * 10 + [False, True, False, True]


def test_rate_limit_below_one_per_second() -> None:
    assert passed(0.01, [0, 50, 100, 101, 199, 200.001]) == [True, False, True, False, False, True]


def test_token_bucket_does_not_overflow() -> None:
    assert passed(2, [0.0] + [1e6] * 21) == [True] * 21 + [False]


@pytest.mark.parametrize("per_second", [0.05, 1, 7, 1000])
def test_retry_after_of_a_rate_limit_is_exact(per_second: float) -> None:
    bucket, wait = take(Bucket(0.25, 10), per_second, 10)
    assert wait == pytest.approx(0.75 / per_second)
    assert take(bucket, per_second, 10 + wait * 0.99)[1] > 0
    assert take(bucket, per_second, 10 + wait * 1.01)[1] == 0


def test_repeated_log_lines_are_summed_every_ten_seconds() -> None:
    moments = iter([5.0, 5.1, 14.9, 15.0, 16.5, 60.0, 60.5])
    throttle = LogThrottle(lambda: next(moments))
    assert [throttle.add() for _ in range(7)] == [1, 0, 0, 3, 0, 2, 0]
