"""Pending jobs: which request waits for which reply."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import islice
from typing import NoReturn

import pytest

from visionfleet.contract.messages import Failed
from visionfleet.web.jobs.pending import PendingJobs, pauses


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
    waiting = PendingJobs(lambda: 0.0)
    with waiting.expecting("a") as one, waiting.expecting("a") as two, waiting.expecting("b") as b:
        assert waiting.resolve("a", result("a"))
        assert await one == await two == result("a")
        assert not b.done()


@in_loop
async def test_duplicate_reply_does_no_harm() -> None:
    waiting = PendingJobs(lambda: 0.0)
    waiting.remember("a")
    with waiting.expecting("a") as reply:
        assert waiting.resolve("a", result("a"))
        waiting.resolve("a", Failed(**{**result("a").model_dump(), "reason": "other"}))
        assert (await reply) == result("a")
    assert not waiting.resolve("a", result("a"))


@in_loop
async def test_own_job_without_a_waiter_is_expected_once() -> None:
    waiting = PendingJobs(lambda: 0.0)
    waiting.remember("a")
    assert waiting.is_ours("a")
    assert waiting.resolve("a", result("a"))
    assert not waiting.is_ours("a")
    assert not waiting.resolve("a", result("a"))


@in_loop
async def test_answered_job_is_known_until_its_request_is_sent_again() -> None:
    waiting = PendingJobs(lambda: 0.0)
    waiting.remember("a")
    assert not waiting.is_answered("a")
    waiting.resolve("a", result("a"))
    waiting.resolve("foreign", result("foreign"))
    assert [waiting.is_answered(job) for job in ("a", "foreign")] == [True, False]
    waiting.remember("a")
    assert (waiting.is_ours("a"), waiting.is_answered("a")) == (True, False)


@in_loop
async def test_finished_wait_leaves_nothing_behind() -> None:
    waiting = PendingJobs(lambda: 0.0)
    with pytest.raises(KeyError), waiting.expecting("a"):
        raise KeyError
    assert not waiting.resolve("a", result("a"))


@in_loop
async def test_memory_of_own_jobs_is_bounded() -> None:
    waiting = PendingJobs(lambda: 0.0, remembered=2)
    for job in "abc":
        waiting.remember(job)
    assert [waiting.is_ours(job) for job in "abc"] == [False, True, True]


@in_loop
async def test_closing_ends_all_waits() -> None:
    waiting = PendingJobs(lambda: 0.0)
    assert not waiting.closed.done()
    waiting.close()
    waiting.close()
    assert waiting.closed.done()


@in_loop
async def test_own_jobs_are_remembered() -> None:
    waiting = PendingJobs(lambda: 0.0)
    with waiting.expecting("a", ours=True), waiting.expecting("b"):
        assert (waiting.is_ours("a"), waiting.is_ours("b")) == (True, False)
    assert waiting.is_ours("a")
    waiting.forget("a")
    assert not waiting.is_ours("a")


@in_loop
async def test_wait_ends_with_what_comes_first() -> None:
    loop, looks = asyncio.get_running_loop(), list[str]()

    async def look(job: str) -> Failed | None:
        looks.append(job)
        return result(job) if len(looks) == 2 else None

    def gone() -> "asyncio.Future[None]":
        return loop.create_future()

    waiting = PendingJobs(loop.time)
    with waiting.expecting("a") as reply:
        assert await waiting.wait("a", reply, loop.time(), gone(), look) is None
        assert looks == [], "a wait of no length looks at nothing"
        assert await waiting.wait("a", reply, loop.time() + 60, gone(), look) == result("a")
        assert looks == ["a", "a"]
        left = gone()
        left.set_result(None)
        assert await waiting.wait("a", reply, loop.time() + 60, left, look) is None
        loop.call_soon(waiting.resolve, "a", result("a"))
        assert await waiting.wait("a", reply, loop.time() + 60, gone(), look) == result("a")
    with waiting.expecting("b") as reply:
        loop.call_soon(waiting.close)
        assert await waiting.wait("b", reply, loop.time() + 60, gone(), look) is None


@in_loop
async def test_wait_ends_in_time_though_s3_does_not_answer() -> None:
    loop = asyncio.get_running_loop()

    async def hang(_job: str) -> NoReturn:
        await asyncio.Event().wait()
        raise AssertionError

    waiting = PendingJobs(loop.time)
    with waiting.expecting("a") as reply:
        wait = partial(waiting.wait, "a", reply, gone=loop.create_future(), poll=hang)
        begun = loop.time()
        assert await wait(deadline=begun + 0.3) is None
        assert loop.time() - begun < 10
        loop.call_later(0.4, waiting.resolve, "a", result("a"))
        assert await wait(deadline=loop.time() + 60) == result("a")
    with waiting.expecting("b") as reply:
        loop.call_later(0.4, waiting.close)
        gone = loop.create_future()
        assert await waiting.wait("b", reply, loop.time() + 60, gone, hang) is None


@in_loop
async def test_wait_that_is_hopeless_ends_soon() -> None:
    """Before the next look at S3, but not at once: whoever asks again may do so in a loop."""
    loop = asyncio.get_running_loop()

    async def look(_job: str) -> Failed | None:
        return None

    waiting, begun = PendingJobs(loop.time, check_seconds=0.05), loop.time()
    with waiting.expecting("a", ours=True) as reply:
        gone = loop.create_future()
        found = await waiting.wait("a", reply, begun + 60, gone, look, lambda: "no worker starts")
        assert 0.04 < loop.time() - begun < 4
        assert found is None
    with waiting.expecting("of another process") as reply:
        begun, gone = loop.time(), loop.create_future()
        await waiting.wait("a", reply, begun + 60, gone, look, lambda: "no worker starts")
        assert loop.time() - begun > 0.04


def test_own_jobs_are_polled_rarely() -> None:
    assert list(islice(pauses(ours=True), 6)) == [5, 10, 20, 40, 60, 60]


def test_jobs_of_other_processes_are_polled_often() -> None:
    assert list(islice(pauses(ours=False), 5)) == [0.25, 0.5, 1, 2, 2]
