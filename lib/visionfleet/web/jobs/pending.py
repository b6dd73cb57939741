"""Clients waiting for jobs. Called from the event loop's thread only."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from visionfleet.web.jobs.answers import Result

Reply = asyncio.Future[Result]

# The most jobs remembered as accepted here; older ones are polled in S3 like those of other
# processes. About 100 bytes each.
REMEMBERED = 100_000
# The interval of checks whether waiting is hopeless.
HOPELESS_CHECK_SECONDS = 5.0
# How long beyond its deadline a wait looks for the result: S3 may not answer.
LAST_POLL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class WaitLimit:
    """How long a client waits: `seconds`, or until it has disconnected."""

    seconds: float
    gone: asyncio.Future[None]


class PendingJobs:
    """Futures by job id. `closed` is resolved when no wait may go on; `clock` is monotonic."""

    def __init__(
        self,
        clock: Callable[[], float],
        remembered: int = REMEMBERED,
        check_seconds: float = HOPELESS_CHECK_SECONDS,
        closed: "asyncio.Future[None] | None" = None,
    ) -> None:
        self.clock, self._check_seconds = clock, check_seconds
        self.replies: dict[str, set[Reply]] = {}
        self._ours: dict[str, bool] = {}  # accepted here: whether the reply has arrived
        self._remembered = remembered
        self.closed = closed or asyncio.get_running_loop().create_future()

    @contextmanager
    def expecting(self, job: str, ours: bool = False) -> Iterator[Reply]:
        """A future for a job's reply; `ours`: the reply will arrive at this process."""
        if ours:
            self.remember(job)
        reply: Reply = asyncio.get_running_loop().create_future()
        self.replies.setdefault(job, set()).add(reply)
        try:
            yield reply
        finally:
            waiting = self.replies[job]
            waiting.discard(reply)
            if not waiting:
                del self.replies[job]

    def remember(self, job: str) -> None:
        self._ours.pop(job, None)
        self._ours[job] = False
        if len(self._ours) > self._remembered:
            del self._ours[next(iter(self._ours))]

    def forget(self, job: str) -> None:
        self._ours.pop(job, None)

    def is_ours(self, job: str) -> bool:
        """Whether the job's reply is still to arrive at this process."""
        return self._ours.get(job) is False

    def is_answered(self, job: str) -> bool:
        """Whether the job's reply has arrived here; replies to other processes are unknown."""
        return self._ours.get(job) is True

    def resolve(self, job: str, result: Result) -> bool:
        """Wake all that wait for a job; False for an unexpected reply."""
        expected = self.is_ours(job)
        if expected:
            self._ours[job] = True
        waiting = self.replies.get(job, set())
        for reply in waiting:
            if not reply.done():
                reply.set_result(result)
        return expected or bool(waiting)

    async def wait(
        self,
        job: str,
        reply: Reply,
        deadline: float,
        gone: asyncio.Future[None],
        poll: Callable[[str], Awaitable[Result | None]],
        hopeless: Callable[[], object] = lambda: False,
    ) -> Result | None:
        """Wait for a reply; poll S3 by `poll` now and then and at the deadline, as replies can be
        lost.

        After some seconds the wait ends early if it is `hopeless`.
        """
        if self.clock() >= deadline:
            return None
        check_from = self.clock() + self._check_seconds
        until: set[asyncio.Future[Any]] = {reply, gone, self.closed}
        for pause in pauses(self.is_ours(job)):
            poll_at = min(self.clock() + pause, deadline)
            while not any(one.done() for one in until):
                left = max(0.0, poll_at - self.clock())
                step = min(left, self._check_seconds)
                await asyncio.wait(until, timeout=step, return_when=asyncio.FIRST_COMPLETED)
                if self.clock() >= poll_at or (self.clock() >= check_from and hopeless()):
                    break
            if reply.done():
                return reply.result()
            if gone.done() or self.closed.done():
                return None
            found = await self._polled(asyncio.ensure_future(poll(job)), until, deadline)
            if reply.done():
                return reply.result()
            if found is not None or self.clock() >= deadline:
                return found
            if self.clock() >= check_from and hopeless():
                return None
        return None

    async def _polled(
        self,
        poll: "asyncio.Future[Result | None]",
        until: "set[asyncio.Future[Any]]",
        deadline: float,
    ) -> Result | None:
        """What a poll finds; None if it takes until the deadline, as S3 may not answer."""
        seconds = max(0.0, deadline - self.clock()) + LAST_POLL_SECONDS
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait({poll, *until}, timeout=seconds, return_when=first)
        if poll.done():
            return poll.result()
        poll.cancel()
        return None

    def close(self) -> None:
        """End all waits, also future ones."""
        if not self.closed.done():
            self.closed.set_result(None)


def pauses(ours: bool) -> Iterator[float]:
    """Seconds between polls of S3: rare for `ours`, as the reply arrives here."""
    pause, longest = (5.0, 60.0) if ours else (0.25, 2.0)
    while True:
        yield pause
        pause = min(2 * pause, longest)
