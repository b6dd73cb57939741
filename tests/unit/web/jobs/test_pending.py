"""Pending jobs: which request waits for which reply."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice

import pytest

from visionfleet.contract.messages import Failed
from visionfleet.web.jobs.pending import PendingJobs, UnderWay, pauses


def result(job: str) -> Failed:
    return Failed(job=job, code="expired", reason="", attempts=1, worker="w", finished_at=0.0)


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test in a loop of its own."""

    def run() -> None:
        async def whole() -> None:
            await test()

        asyncio.run(whole())

    run.__name__ = getattr(test, "__name__", "run")
    return run


@in_loop
async def test_reply_wakes_only_those_waiting_for_its_job() -> None:
    waiting = PendingJobs()
    with waiting.expecting("a") as one, waiting.expecting("a") as two, waiting.expecting("b") as b:
        assert waiting.resolve("a", result("a"))
        assert await one == await two == result("a")
        assert not b.done()


@in_loop
async def test_duplicate_reply_does_no_harm() -> None:
    waiting = PendingJobs()
    waiting.remember("a")
    with waiting.expecting("a") as reply:
        assert waiting.resolve("a", result("a"))
        waiting.resolve("a", Failed(**{**result("a").model_dump(), "reason": "other"}))
        assert (await reply) == result("a")
    assert not waiting.resolve("a", result("a"))
    assert waiting.unmatched == 1


@in_loop
async def test_own_job_without_a_waiter_is_expected_once() -> None:
    waiting = PendingJobs()
    waiting.remember("a")
    assert waiting.is_ours("a")
    assert waiting.resolve("a", result("a"))
    assert not waiting.is_ours("a")
    assert not waiting.resolve("a", result("a"))


@in_loop
async def test_finished_wait_leaves_nothing_behind() -> None:
    waiting = PendingJobs()
    with pytest.raises(KeyError), waiting.expecting("a"):
        raise KeyError
    assert not waiting.resolve("a", result("a"))


@in_loop
async def test_memory_of_own_jobs_is_bounded() -> None:
    waiting = PendingJobs(remembered=2)
    for job in "abc":
        waiting.remember(job)
    assert [waiting.is_ours(job) for job in "abc"] == [False, True, True]


@in_loop
async def test_closing_ends_all_waits() -> None:
    waiting = PendingJobs()
    assert not waiting.closed.done()
    waiting.close()
    waiting.close()
    assert waiting.closed.done()


@in_loop
async def test_requests_under_way_are_counted_and_awaited() -> None:
    under_way = UnderWay()
    assert await under_way.none_left(0)
    one, two = object(), object()
    under_way.enter(one)
    under_way.enter(two)
    assert not await under_way.none_left(0)
    under_way.leave(one)
    under_way.leave(one)
    assert len(under_way) == 1
    left = asyncio.ensure_future(under_way.none_left(10))
    asyncio.get_running_loop().call_soon(under_way.leave, two)
    assert await left


def test_own_jobs_are_polled_rarely() -> None:
    assert list(islice(pauses(ours=True), 6)) == [5, 10, 20, 40, 60, 60]


def test_jobs_of_other_processes_are_polled_often() -> None:
    assert list(islice(pauses(ours=False), 5)) == [0.25, 0.5, 1, 2, 2]
