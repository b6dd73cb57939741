"""What the handlers ask for, for the loop: the desk's work on threads, and waiting for results."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from visionfleet.contract.messages import Failed, ModelInfo, Reply, Succeeded, WorkerReport
from visionfleet.errors import BadImage, TryLater, VisionfleetError
from visionfleet.web.http.auth import Access
from visionfleet.web.http.multipart import Upload
from visionfleet.web.http.rate_limit import Tally
from visionfleet.web.jobs.active_model import ActiveModel
from visionfleet.web.jobs.executor import Threads, trouble
from visionfleet.web.jobs.idempotency import Once
from visionfleet.web.jobs.pending import Expected, PendingJobs, UnderWay, pauses
from visionfleet.web.jobs.responses import Outcome, Queued, outcome
from visionfleet.web.jobs.result_cache import Keeping
from visionfleet.web.jobs.submission import Submissions
from visionfleet.web.load.admission import Load, Room, refusal
from visionfleet.web.load.fleet_load import FleetLoad, Priors, load
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.load.readiness import Readiness
from visionfleet.web.metrics import Meters
from visionfleet.web.problems import Problem, overloaded, try_later
from visionfleet.web.settings import Rules

log = logging.getLogger("web")

FLEET_CACHE_SECONDS = 1.0
# How often the workers' reports are read, at most.
REPORTS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client waits: until `deadline`, or until it is `gone`."""

    deadline: float
    gone: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Door:
    """What one process takes in at the most, what it reckons with, and what handlers go by."""

    held: MemoryBudget
    room: Room
    priors: Priors
    rules: Rules


class Service:
    """One web process. `clock` is monotonic; it must be made while the loop runs.

    `desk`, `room`, `priors` and `rules` may be replaced at any time, in the loop's thread.
    """

    def __init__(
        self,
        desk: Submissions,
        pool: Executor,
        vitals: Readiness,
        new_job: Callable[[], str],
        clock: Callable[[], float],
        sightings: ActiveModel,
        door: Door,
        access: Access | None = None,
    ) -> None:
        self.desk = desk
        self._new_job = new_job
        self._fleet: tuple[float, bytes | None] | None = None
        self._fleet_lock = asyncio.Lock()
        self.sightings = sightings
        self._reports: list[WorkerReport] = []
        self._reports_read_at: float | None = None
        self.clock = clock
        self.vitals = vitals
        self.access = access
        self.keyless = Tally(clock)
        self.held = door.held
        self.room = door.room
        self.priors = door.priors
        self.rules = door.rules
        self.answered = 0
        self._outlook = FleetLoad(self._seen, pool, vitals.looked, clock)
        self.waiting = PendingJobs()
        self.under_way = UnderWay()
        self.meters = Meters()
        self._threads = Threads(pool, self.meters)
        self._keeping = Keeping(self._threads)
        self.meters.watch(lambda: float(len(self.under_way)))

    def admit(self, length: int) -> None:
        """Let an upload of so many bytes in; raises Problem."""
        self.held.expect(length)
        refused = refusal(self._outlook.load(), len(self.under_way) - 1, self.room)
        if refused is not None:
            raise overloaded(refused.reason, refused.retry_seconds)

    def reasons(self) -> list[str]:
        """List why no work should come here, and look again at S3 and SQS for the next time."""
        self._outlook.refresh()
        return self.vitals.reasons()

    async def submit(self, upload: Upload, top: int, once: Once | None = None) -> Queued | Problem:
        """Accept an upload without waiting for its result."""
        try:
            job, known = await self._claimed(once)
            if known is None:
                await self._take(job, upload, top)
        except Problem as problem:
            return problem
        return Queued(job)

    async def classify(
        self, upload: Upload, top: int, patience: Patience, once: Once | None = None
    ) -> Outcome:
        """Accept an upload and wait for its result; the wait begins before the request is sent."""
        try:
            job, known = await self._claimed(once)
            with self.waiting.expecting(job) as reply:
                found = known if known is not None else await self._take(job, upload, top)
                del upload  # it may be large, and the wait long
                if found is None or isinstance(found, Queued):
                    found = await self._result(job, reply, patience)
        except Problem as problem:
            return problem
        return outcome(found, job)

    async def target(self, content_type: str) -> dict[str, object]:
        """Make a place in S3 for a file; its id is that of the job it will be."""
        upload = self._new_job()
        try:
            made = await self._threads.run("sign", self.desk.target, upload, content_type)
        except VisionfleetError as error:
            raise trouble(error, "no upload can be prepared now") from error
        return {
            "upload": upload,
            "url": made.url,
            "fields": dict(made.fields),
            "max_bytes": self.desk.limits.max_bytes,
            "expires_at": self.desk.now() + self.desk.target_seconds,
        }

    async def start(self, upload: str, file_name: str, top: int) -> Queued:
        """Accept a file that the client has put into S3 itself; raises Problem."""
        self.waiting.remember(upload)
        try:
            await self._threads.run("start", self.desk.start, upload, file_name, top)
        except BadImage as error:
            raise Problem(error.code, str(error)) from error
        except VisionfleetError as error:
            raise trouble(error, "the upload cannot be accepted now", upload) from error
        self.meters.accepted()
        log.info("job accepted", extra={"job": upload, "file_name": file_name, "direct": True})
        return Queued(upload)

    async def model(self) -> ModelInfo | None:
        """Tell which model is in use, None when it is not certain."""
        for report in await self.reports():
            if report.model is not None:
                self.sightings.note(report.model, report.reported_at)
        return self.sightings.current(self.desk.now())

    async def reports(self) -> list[WorkerReport]:
        """Give what the workers say of themselves, read now and then.

        When AWS does not answer, what was read before has to do.
        """
        read_at, now = self._reports_read_at, self.clock()
        if read_at is None or now - read_at >= REPORTS_SECONDS:
            self._reports_read_at = now
            try:
                self._reports = await self._threads.run("reports", self.desk.reports)
            except VisionfleetError as error:
                log.debug("reports not read", extra={"reason": str(error)})
        return self._reports

    async def state(self, job: str, patience: Patience) -> Succeeded | Failed | Queued | None:
        """Find the result of a job, waiting for it; None for a job that was never accepted."""
        with self.waiting.expecting(job) as reply:
            try:
                found = await self._threads.run("state", self.desk.state, job)
            except VisionfleetError as error:
                raise trouble(error, f"job {job} cannot be looked up now", job) from error
            if not isinstance(found, Queued):
                return found
            return await self._result(job, reply, patience) or found

    async def fleet(self) -> bytes | None:
        """Read the fleet's status, at most once per second for all who ask."""
        async with self._fleet_lock:
            if self._fleet is None or self.clock() - self._fleet[0] >= FLEET_CACHE_SECONDS:
                try:
                    found = await self._threads.run("fleet", self.desk.fleet)
                except VisionfleetError as error:
                    raise trouble(error, "the status cannot be read now") from error
                self._fleet = (self.clock(), found)
            return self._fleet[1]

    def deliver(self, reply: Reply) -> None:
        """Hand a reply to those who wait for its job."""
        if isinstance(reply.result, Succeeded):
            self.sightings.note(reply.result.model, reply.result.finished_at)
            self._keeping.answered(reply.result, self.desk.cache)
        if not self.waiting.resolve(reply.job, reply.result):
            log.debug("reply unmatched", extra={"job": reply.job})

    async def _claimed(self, once: Once | None) -> tuple[str, Succeeded | Failed | Queued | None]:
        """Choose the job of an upload, and find what is known of it when it came before.

        A claim whose upload was never accepted, as after a crash, is as good as new.
        """
        job = self._new_job()
        if once is None:
            return job, None
        try:
            job, new = await self._threads.run("claim", self.desk.claim, once, job)
            if new:
                return job, None
            self.meters.replayed()
            return job, await self._threads.run("state", self.desk.state, job)
        except VisionfleetError as error:
            raise trouble(error, "the Idempotency-Key cannot be looked up now") from error

    async def _take(self, job: str, upload: Upload, top: int) -> Succeeded | None:
        """Answer from the cache, or hand the upload to the fleet."""
        cache = self.desk.cache
        if cache is None:
            await self._accept(job, upload, top)
            return None
        model = await self.model()
        fingerprint = None if model is None else model.fingerprint
        try:
            digest, found = await self._threads.run(
                "cache", cache.find, job, upload, top, fingerprint
            )
        except VisionfleetError as error:
            raise trouble(error, "the image cannot be accepted now", job) from error
        self.meters.cache(found is not None)
        if found is not None:
            self.meters.accepted()
            log.info("job accepted", extra={"job": job, "cached": True})
            return found
        self._keeping.remember(job, digest, top)
        await self._accept(job, upload, top)
        return None

    async def _accept(self, job: str, upload: Upload, top: int) -> None:
        self.held.move(len(upload.data))
        try:
            await self._take_in(job, upload, top)
        finally:
            self.held.remove(len(upload.data))

    async def _take_in(self, job: str, upload: Upload, top: int) -> None:
        self.waiting.remember(job)
        work = asyncio.ensure_future(
            self._threads.run("accept", self.desk.accept, job, upload, top)
        )
        await asyncio.wait({work, self.waiting.closed}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise try_later("the server is stopping")
        try:
            work.result()
        except BadImage as error:
            raise Problem(error.code, str(error)) from error
        except VisionfleetError as error:
            self.vitals.failed()
            raise trouble(error, "the image cannot be accepted now", job) from error
        self.vitals.worked()
        self.meters.accepted()
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
            return await self._threads.run("result", self.desk.result, job)
        except TryLater as error:
            log.debug("result not read", extra={"job": job, "reason": str(error)})
        except VisionfleetError as error:
            log.warning("result not read", extra={"job": job, "reason": str(error)})
        return None

    def _seen(self) -> Load | None:
        return load(self.desk.look(), self.priors, self.desk.now())
