"""What the handlers ask for, for the loop: the desk's work on threads, and waiting for results."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from visionfleet.errors import BadImage, BadMessage, TryLater, VisionfleetError
from visionfleet.messages import Failed, Reply, Succeeded
from visionfleet.web.access import Access
from visionfleet.web.admission import Load, Room, refusal
from visionfleet.web.answers import Outcome, Queued, outcome
from visionfleet.web.desk import Desk
from visionfleet.web.holding import Held
from visionfleet.web.outlook import Outlook, Priors, load
from visionfleet.web.problems import Problem, overloaded, try_later
from visionfleet.web.uploads import Upload
from visionfleet.web.vitals import Vitals
from visionfleet.web.waiting import Expected, UnderWay, Waiting, pauses

log = logging.getLogger("web")

FLEET_CACHE_SECONDS = 1.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits: until `deadline`, or until it is `gone`."""

    deadline: float
    gone: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Door:
    """What one process takes in at the most, and what it reckons with."""

    held: Held
    room: Room
    priors: Priors


class Service:
    """One web process. `clock` is monotonic; it must be made while the loop runs."""

    def __init__(
        self,
        desk: Desk,
        pool: Executor,
        vitals: Vitals,
        new_job: Callable[[], str],
        clock: Callable[[], float],
        door: Door,
        access: Access | None = None,
    ) -> None:
        self._desk = desk
        self._pool = pool
        self._new_job = new_job
        self._fleet: tuple[float, bytes | None] | None = None
        self._fleet_lock = asyncio.Lock()
        self.clock = clock
        self.vitals = vitals
        self.access = access
        self.held = door.held
        self._room = door.room
        self._priors = door.priors
        self._outlook = Outlook(self._seen, pool, vitals.looked, clock)
        self.waiting = Waiting()
        self.under_way = UnderWay()

    def admit(self, length: int) -> None:
        """Let an upload of so many bytes in; raises Problem."""
        self.held.expect(length)
        refused = refusal(self._outlook.load(), len(self.under_way) - 1, self._room)
        if refused is not None:
            raise overloaded(refused.reason, refused.retry_seconds)

    def reasons(self) -> list[str]:
        """List why no work should come here, and look again at S3 and SQS for the next time."""
        self._outlook.refresh()
        return self.vitals.reasons()

    async def submit(self, upload: Upload, top: int) -> Queued | Problem:
        """Accept an upload without waiting for its result."""
        job = self._new_job()
        try:
            await self._accept(job, upload, top)
        except Problem as problem:
            return problem
        return Queued(job)

    async def classify(self, upload: Upload, top: int, patience: Patience) -> Outcome:
        """Accept an upload and wait for its result; the wait begins before the request is sent."""
        job = self._new_job()
        with self.waiting.expecting(job) as reply:
            try:
                await self._accept(job, upload, top)
            except Problem as problem:
                return problem
            del upload  # it may be large, and the wait long
            return outcome(await self._result(job, reply, patience), job)

    async def state(self, job: str, patience: Patience) -> Succeeded | Failed | Queued | None:
        """Find the result of a job, waiting for it; None for a job that was never accepted."""
        with self.waiting.expecting(job) as reply:
            try:
                found = await self._on_thread(self._desk.state, job)
            except VisionfleetError as error:
                raise self._trouble(error, f"job {job} cannot be looked up now") from error
            if not isinstance(found, Queued):
                return found
            return await self._result(job, reply, patience) or found

    async def fleet(self) -> bytes | None:
        """Read the fleet's status, at most once per second for all who ask."""
        async with self._fleet_lock:
            if self._fleet is None or self.clock() - self._fleet[0] >= FLEET_CACHE_SECONDS:
                try:
                    found = await self._on_thread(self._desk.fleet)
                except VisionfleetError as error:
                    raise self._trouble(error, "the status cannot be read now") from error
                self._fleet = (self.clock(), found)
            return self._fleet[1]

    def deliver(self, reply: Reply) -> None:
        """Hand a reply to those who wait for its job."""
        if not self.waiting.resolve(reply.job, reply.result):
            log.debug("reply unmatched", extra={"job": reply.job})

    async def _accept(self, job: str, upload: Upload, top: int) -> None:
        self.held.move(len(upload.data))
        try:
            await self._take_in(job, upload, top)
        finally:
            self.held.remove(len(upload.data))

    async def _take_in(self, job: str, upload: Upload, top: int) -> None:
        self.waiting.remember(job)
        work = asyncio.ensure_future(self._on_thread(self._desk.accept, job, upload, top))
        await asyncio.wait({work, self.waiting.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise try_later("the server is stopping")
        try:
            work.result()
        except BadImage as error:
            raise Problem(error.code, str(error)) from error
        except VisionfleetError as error:
            self.vitals.failed()
            raise self._trouble(error, "the image cannot be accepted now") from error
        self.vitals.worked()
        log.info(
            "job accepted",
            extra={"job": job, "file_name": upload.file_name, "bytes": len(upload.data)},
        )

    async def _result(
        self, job: str, reply: Expected, patience: Patience
    ) -> Succeeded | Failed | None:
        """Wait for a reply, and look at S3 now and then, and at the end: replies can be lost."""
        if self.clock() >= patience.deadline:
            return None
        until: set[asyncio.Future[Any]] = {reply, patience.gone, self.waiting.closed}
        for pause in pauses(self.waiting.is_ours(job)):
            left = max(0.0, patience.deadline - self.clock())
            await asyncio.wait(until, timeout=min(pause, left), return_when=asyncio.FIRST_COMPLETED)
            if reply.done():
                return reply.result()
            if patience.gone.done() or self.waiting.closed.done():
                return None
            found = await self._look(job)
            if found is not None or self.clock() >= patience.deadline:
                return found
        return None

    async def _look(self, job: str) -> Succeeded | Failed | None:
        """Look at S3 in the midst of a wait, which goes on when S3 does not answer."""
        try:
            return await self._on_thread(self._desk.result, job)
        except TryLater as error:
            log.debug("result not read", extra={"job": job, "reason": str(error)})
        except VisionfleetError as error:
            log.warning("result not read", extra={"job": job, "reason": str(error)})
        return None

    def _seen(self) -> Load | None:
        return load(self._desk.look(), self._priors, self._desk.now())

    async def _on_thread(self, work: Callable[..., _T], *arguments: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def _trouble(self, error: Exception, detail: str) -> Problem:
        """Log why AWS failed, and tell the client no more than that it did."""
        if isinstance(error, BadMessage):
            log.error("result unreadable", extra={"reason": str(error)})
            return Problem("internal", detail)
        level = logging.WARNING if isinstance(error, TryLater) else logging.ERROR
        log.log(level, "AWS failed", extra={"reason": str(error)})
        return try_later(detail)
