"""Who waits for which job. Everything here is called from the loop's thread only."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from visionfleet.contract.messages import Failed, Succeeded

Result = Succeeded | Failed
Expected = asyncio.Future[Result]

# Jobs whose replies come to this process, at most; those beyond it, the oldest, are looked for
# in S3 as if another process had accepted them. About 100 bytes each.
REMEMBERED = 100_000


class PendingJobs:
    """Futures by job id. `closed` is done when no wait may go on."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._replies: dict[str, set[Expected]] = {}
        self._ours: dict[str, None] = {}
        self._remembered = remembered
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.unmatched = 0

    @contextmanager
    def expecting(self, job: str) -> Iterator[Expected]:
        """Give a future that is done when a reply for the job comes."""
        reply: Expected = asyncio.get_running_loop().create_future()
        self._replies.setdefault(job, set()).add(reply)
        try:
            yield reply
        finally:
            self._forget(job, reply)

    def awaited(self) -> int:
        """Count the jobs that are waited for; any thread may ask."""
        return len(self._replies)

    def remember(self, job: str) -> None:
        """Note that the reply for a job comes to this process."""
        self._ours[job] = None
        if len(self._ours) > self._remembered:
            del self._ours[next(iter(self._ours))]

    def is_ours(self, job: str) -> bool:
        """Tell whether the reply for a job is still to come to this process."""
        return job in self._ours

    def resolve(self, job: str, result: Result) -> bool:
        """Wake all who wait for a job; False for a reply that is not, or no longer, expected."""
        expected = job in self._ours
        self._ours.pop(job, None)
        waiting = self._replies.get(job, set())
        for reply in waiting:
            if not reply.done():
                reply.set_result(result)
        if not expected and not waiting:
            self.unmatched += 1
            return False
        return True

    def close(self) -> None:
        """End all waits, those to come as well."""
        if not self.closed.done():
            self.closed.set_result(None)

    def _forget(self, job: str, reply: Expected) -> None:
        waiting = self._replies[job]
        waiting.discard(reply)
        if not waiting:
            del self._replies[job]


class UnderWay:
    """The requests that are not answered yet."""

    def __init__(self) -> None:
        self._requests: set[object] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._requests)

    def enter(self, request: object) -> None:
        """Count a request in."""
        self._requests.add(request)
        self._none.clear()

    def leave(self, request: object) -> None:
        """Count a request out; twice does no harm."""
        self._requests.discard(request)
        if not self._requests:
            self._none.set()

    async def none_left(self, seconds: float) -> bool:
        """Wait until all are answered; False when the time was over first."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), seconds)
        return self._none.is_set()


def pauses(ours: bool) -> Iterator[float]:
    """Yield the seconds between looks at S3 while a job is waited for.

    A reply that comes to this process is hardly ever lost, so for it a look is a rare safety:
    after 5, 15, 35 s, then each minute. For other processes' jobs it is the only way to know.
    """
    pause, most = (5.0, 60.0) if ours else (0.25, 2.0)
    while True:
        yield pause
        pause = min(2 * pause, most)
