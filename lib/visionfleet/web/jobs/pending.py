"""Who waits for which job. Everything here is called from the loop's thread only."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from visionfleet.web.jobs.answers import Result

Reply = asyncio.Future[Result]

# Jobs that this process has accepted, at most; those beyond it, the oldest, are looked for in S3
# as if another process had accepted them. About 100 bytes each.
REMEMBERED = 100_000
# Time between two questions whether to wait is of any use.
HOPE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits from now: so many seconds, or until it is `gone`."""

    seconds: float
    gone: asyncio.Future[None]


class PendingJobs:
    """Futures by job id. `closed` is done when no wait may go on, `clock` is monotonic."""

    def __init__(
        self,
        clock: Callable[[], float],
        remembered: int = REMEMBERED,
        hope_seconds: float = HOPE_SECONDS,
    ) -> None:
        self.clock, self._hope_seconds = clock, hope_seconds
        self.replies: dict[str, set[Reply]] = {}
        self._ours: dict[str, bool] = {}  # whether their reply has come
        self._remembered = remembered
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextmanager
    def expecting(self, job: str, ours: bool = False) -> Iterator[Reply]:
        """Give a future that is done when a reply comes; one for `ours` comes to this process."""
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
        """Tell whether the job's reply is still to come to this process."""
        return self._ours.get(job) is False

    def is_answered(self, job: str) -> bool:
        """Tell whether its reply has come here; what other processes know is not known here."""
        return self._ours.get(job) is True

    def resolve(self, job: str, result: Result) -> bool:
        """Wake all who wait for a job; False for a reply that is not, or no longer, expected."""
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
        look: Callable[[str], Awaitable[Result | None]],
        hopeless: Callable[[], object] = lambda: False,
    ) -> Result | None:
        """Wait for a reply, and `look` at S3 now and then, and at the end: replies can be lost.

        After a few seconds it is asked now and then whether to wait is `hopeless`.
        """
        if self.clock() >= deadline:
            return None
        hope_until = self.clock() + self._hope_seconds
        until: set[asyncio.Future[Any]] = {reply, gone, self.closed}
        for pause in pauses(self.is_ours(job)):
            look_at = min(self.clock() + pause, deadline)
            while not any(one.done() for one in until):
                left = max(0.0, look_at - self.clock())
                step = min(left, self._hope_seconds)
                await asyncio.wait(until, timeout=step, return_when=asyncio.FIRST_COMPLETED)
                if self.clock() >= look_at or (self.clock() >= hope_until and hopeless()):
                    break
            if reply.done():
                return reply.result()
            if gone.done() or self.closed.done():
                return None
            found = await look(job)
            if found is not None or self.clock() >= deadline:
                return found
            if self.clock() >= hope_until and hopeless():
                return None
        return None

    def close(self) -> None:
        """End all waits, those to come as well."""
        if not self.closed.done():
            self.closed.set_result(None)


def pauses(ours: bool) -> Iterator[float]:
    """Yield seconds between looks at S3: for `ours` a rare safety, else the only way to know."""
    pause, longest = (5.0, 60.0) if ours else (0.25, 2.0)
    while True:
        yield pause
        pause = min(2 * pause, longest)
