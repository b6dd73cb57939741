"""From upload to answer, on the event loop: blocking AWS calls run on threads."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack, closing

from visionfleet.contract.corrections import Correction
from visionfleet.contract.job_ids import RANDOM_BYTES, new_job_id
from visionfleet.contract.messages import Failed, Reply, Succeeded
from visionfleet.errors import BadImage, TryLater, Unfit, VisionfleetError
from visionfleet.web.jobs.answers import Answer, Queued, Result, State, Upload
from visionfleet.web.jobs.corrections import Corrections
from visionfleet.web.jobs.fleet_view import FleetView
from visionfleet.web.jobs.idempotency import Once
from visionfleet.web.jobs.pending import PendingJobs, WaitLimit
from visionfleet.web.jobs.result_cache import ResultCache
from visionfleet.web.jobs.submission import (
    UNACCEPTED,
    Claimed,
    Submissions,
    Threads,
)
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.readiness import Readiness

log = logging.getLogger("web")


class Service:
    """The jobs of one web process; must be created on the running loop."""

    def __init__(
        self,
        submissions: Submissions,
        threads: Threads,
        readiness: Readiness,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.submissions = submissions
        self.pending = PendingJobs(readiness.clock, closed=threads.closed)
        results, now = submissions.results, submissions.now
        self.fleet = FleetView(results, threads, readiness.clock, now)
        self._cache = ResultCache(results, threads, now)
        self._corrections = Corrections(submissions.uploads, results, now)
        self._threads = threads
        self._readiness = readiness
        self._metrics = threads.metrics
        self._random_bytes = random_bytes
        # Why no worker works, if known; replaced by the fleet's load.
        self.fault: Callable[[], str] = str

    async def submit(self, upload: Upload, top: int, once: Once | None = None) -> Answer:
        answer = await self.classify(upload, top, None, once)
        return answer if isinstance(answer, Refusal) else Queued(answer.job, self.fault())

    async def classify(
        self, upload: Upload, top: int, limit: WaitLimit | None, once: Once | None = None
    ) -> Answer:
        """Accept an upload and wait for its result; waiting starts before the request is sent."""
        deadline = self.pending.clock() + (limit.seconds if limit else 0)
        with ExitStack() as waits:
            try:
                job, reply, answer = await self._accepted(upload, top, once, waits)
            except Refusal as refusal:
                return refusal
            del upload  # frees its memory during the wait
            if limit and (answer is None or isinstance(answer, Queued)):
                waited = (job, reply, deadline, limit.gone)
                answer = await self.pending.wait(*waited, self._poll, self.fault)
        return self._explained(answer or Queued(job))

    def _explained(self, answer: Result | Queued) -> Result | Queued:
        """Add the reason to a job without a result, if known."""
        return Queued(answer.job, self.fault()) if isinstance(answer, Queued) else answer

    async def _accepted(
        self, upload: Upload, top: int, once: Once | None, waits: ExitStack
    ) -> tuple[str, "asyncio.Future[Result]", Result | Queued | None]:
        with closing(upload.memory):
            job, claimed, answer = await self._claimed(upload, once)
            reply = waits.enter_context(self.pending.expecting(job, ours=answer is None))
            # Cached results have no embedding.
            if answer is None and self.submissions.config.web.cache and not upload.embed:
                answer = await self._cached(job, upload, top)
            if answer is None:
                await self._store(job, upload, top, claimed)
        return job, reply, answer

    async def _claimed(
        self, upload: Upload, once: Once | None
    ) -> tuple[str, Claimed | None, Result | Queued | None]:
        """Find the job of a repeated upload, and its answer if no request needs to be sent.

        A claim whose request may not have been sent, or may be gone, is treated as new.
        """
        new, reason = self._new_job(), "the Idempotency-Key cannot be looked up now"
        if once is None:
            return new, None, None
        call = self._threads.call
        claimed = await call("claim", reason, "", self.submissions.claim, once, new, upload.data)
        job = claimed.claim.job
        if job == new:
            return job, claimed, None
        self._metrics.idempotent_replays.inc()
        answered = self.pending.is_answered(job)
        found = await call("state", reason, "", self.submissions.left, job, answered)
        sent = claimed.claim.sent_at is not None
        if isinstance(found, Succeeded | Failed) or (isinstance(found, Queued) and sent):
            return job, claimed, found
        return job, claimed, None

    async def _cached(self, job: str, upload: Upload, top: int) -> Succeeded | None:
        model = await self.fleet.model()
        fingerprint = None if model is None else model.fingerprint
        by_name = self.submissions.config.results.by_name
        found = await self._cache.find(job, upload, top, fingerprint, by_name)
        self._metrics.cache.labels("miss" if found is None else "hit").inc()
        if found is not None:
            self.pending.forget(job)
            self._note_accepted(job, cached=True)
        return found

    async def _store(self, job: str, upload: Upload, top: int, claimed: Claimed | None) -> None:
        accept = self.submissions.accept
        try:
            await self._threads.run("accept", accept, job, upload, top, claimed)
        except VisionfleetError as error:
            if not isinstance(error, BadImage | Unfit):
                self._readiness.failures.append(self._readiness.clock())
            raise self._threads.refusal(error, UNACCEPTED, job) from error
        self._readiness.failures.clear()
        self._note_accepted(job, file_name=upload.file_name, bytes=len(upload.data))

    async def presign(self, content_type: str) -> dict[str, object]:
        """Create a presigned POST for a file; the upload id becomes the job id. Raises Refusal."""
        upload, submissions = self._new_job(), self.submissions
        reason, sign = "no upload can be prepared now", submissions.presign
        made = await self._threads.call("sign", reason, "", sign, upload, content_type)
        return {
            "upload": upload,
            "url": made.url,
            "fields": dict(made.fields),
            "max_bytes": submissions.config.images.max_bytes,
            "expires_at": made.expires_at,
        }

    async def start(self, upload: str, file_name: str, top: int) -> Queued:
        """Accept a file that the client uploaded to S3; raises Refusal."""
        self.pending.remember(upload)
        reason, start = "the upload cannot be accepted now", self.submissions.start
        try:
            await self._threads.call("start", reason, upload, start, upload, file_name, top)
        except Refusal:
            self.pending.forget(upload)
            raise
        self._note_accepted(upload, file_name=file_name, direct=True)
        return Queued(upload)

    async def state(self, job: str, limit: WaitLimit) -> State:
        """Wait for a job's result; None if the job does not exist. Raises Refusal."""
        deadline = self.pending.clock() + limit.seconds
        with self.pending.expecting(job) as reply:
            reason = f"job {job} cannot be looked up now"
            state, answered = self.submissions.state, self.pending.is_answered(job)
            found = await self._threads.call("state", reason, job, state, job, answered)
            if not isinstance(found, Queued):
                return found
            waited = (job, reply, deadline, limit.gone)
            result = await self.pending.wait(*waited, self._poll, self.fault)
            return self._explained(result or found)

    async def correct(self, result: Succeeded, label: str) -> Correction:
        """Store a person's label for an image; raises Refusal."""
        reason, job, correct = "the label cannot be kept now", result.job, self._corrections.correct
        made = await self._threads.call("correct", reason, job, correct, result, label)
        log.info("label corrected", extra={"job": job, "image_kept": made.image_kept})
        return made

    async def correction(self, job: str) -> Correction | None:
        """A job's correction; None also if S3 fails, as the result matters more."""
        try:
            return await self._threads.run("correction", self._corrections.find, job)
        except VisionfleetError as error:
            log.debug("correction not read", extra={"job": job, "reason": str(error)})
            return None

    def deliver(self, reply: Reply) -> None:
        if isinstance(reply.result, Succeeded):
            self.fleet.active_model.note(reply.result.model, reply.result.finished_at)
            if self.submissions.config.web.cache:
                self._cache.answered(reply.result)
        if not self.pending.resolve(reply.job, reply.result):
            log.debug("reply unmatched", extra={"job": reply.job})

    def _new_job(self) -> str:
        return new_job_id(self.submissions.now(), self._random_bytes(RANDOM_BYTES))

    def _note_accepted(self, job: str, **fields: object) -> None:
        self._metrics.jobs_accepted.inc()
        log.info("job accepted", extra={"job": job, **fields})

    async def _poll(self, job: str) -> Result | None:
        """Poll S3 during a wait; errors do not end the wait."""
        try:
            return await self._threads.run("result", self.submissions.result, job)
        except VisionfleetError as error:
            level = logging.DEBUG if isinstance(error, TryLater) else logging.WARNING
            log.log(level, "result not read", extra={"job": job, "reason": str(error)})
        return None
