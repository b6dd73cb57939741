"""The S3 and SQS calls of requests, on threads: accepts uploads and looks up results."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from visionfleet.aws.s3 import PresignedPost, Stat, Store, file_name_metadata
from visionfleet.config import Config
from visionfleet.contract import documents, messages, names
from visionfleet.errors import BadImage, BadMessage, TryLater, Unfit, VisionfleetError
from visionfleet.imaging import decode
from visionfleet.web.jobs.answers import Gone, Queued, Result, State, Upload
from visionfleet.web.jobs.batch_sender import BatchSender
from visionfleet.web.jobs.idempotency import Once
from visionfleet.web.load.admission import Refusal
from visionfleet.web.metrics import WebMetrics

# Enough for nearly every image header; otherwise the whole object is read.
HEADER_BYTES = 256 << 10
# The time to upload to S3 after POST /v1/uploads: the largest file on a slow line.
UPLOAD_EXPIRE_SECONDS = 900

RETRY_SECONDS = 5.0  # when S3 or SQS fail
UNACCEPTED = "the image cannot be accepted now"
STOPPING = "the server is stopping"

log = logging.getLogger("web")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Threads:
    """Must be created on the running loop; once `closed` is resolved no work is waited for."""

    pool: Executor
    metrics: WebMetrics
    closed: "asyncio.Future[None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def run(self, step: str, work: Callable[..., _T], *arguments: object) -> _T:
        """Run blocking work on a thread and measure it as `step`; raises TryLater when closed."""

        def measured() -> _T:
            started, result = time.monotonic(), "ok"
            try:
                return work(*arguments)
            except VisionfleetError as error:
                result = "ok" if isinstance(error, BadImage) else "error"
                raise
            finally:
                seconds = time.monotonic() - started
                self.metrics.aws_seconds.labels(step, result).observe(seconds)

        running = asyncio.get_running_loop().run_in_executor(self.pool, measured)
        until: set[asyncio.Future[Any]] = {running, self.closed}
        await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            return running.result()
        raise TryLater(STOPPING)

    async def call(
        self, step: str, reason: str, job: str, work: Callable[..., _T], *arguments: object
    ) -> _T:
        """Run blocking work; an error becomes a Refusal with `reason`, without the cause."""
        try:
            return await self.run(step, work, *arguments)
        except VisionfleetError as error:
            raise self.refusal(error, reason, job) from error

    def refusal(self, error: VisionfleetError, reason: str, job: str) -> Refusal:
        return refused(error, STOPPING if self.closed.done() else reason, job)


def refused(error: VisionfleetError, reason: str, job: str = "") -> Refusal:
    if isinstance(error, BadImage):
        return Refusal(error.code, str(error))
    fields = ({"job": job} if job else {}) | {"reason": str(error)}
    if isinstance(error, BadMessage):
        log.error("result unreadable", extra=fields)
        return Refusal("internal", reason)
    level = logging.WARNING if isinstance(error, TryLater) else logging.ERROR
    log.log(level, "AWS failed", extra=fields)
    if isinstance(error, Unfit):
        return Refusal("bad_parameter", "AWS does not take this image or its name")
    return Refusal("try_later", reason, RETRY_SECONDS)


@dataclass(frozen=True, slots=True)
class Claimed:
    """An upload's claim as stored in S3, with its ETag."""

    key: str
    claim: messages.Claim
    etag: str | None


@dataclass(slots=True, eq=False)
class Submissions:
    """Blocking calls. A reload replaces `config`; `now` is wall time."""

    config: Config
    uploads: Store
    results: Store
    requests: BatchSender
    reply_to: str
    now: Callable[[], float]

    def accept(self, job: str, upload: Upload, top: int, claimed: Claimed | None) -> None:
        """Check and store an upload, and send its request; raises BadImage, TryLater, GiveUp."""
        # Store the image first: a request without its image would be a failed job.
        content_type = decode.check_header(upload.data, self.config.images).content_type
        key, metadata = names.image_key(job), file_name_metadata(upload.file_name)
        self.uploads.put(key, upload.data, content_type, metadata)
        self._ask(job, key, upload.file_name, top, upload.embed)
        if claimed is not None:
            self._note_sent(claimed)

    def _note_sent(self, claimed: Claimed) -> None:
        """Mark the claim, so that a repeated upload sends no second request."""
        claim = claimed.claim.model_copy(update={"sent_at": self.now()})
        try:
            self.results.put_json_if(claimed.key, messages.encode(claim), claimed.etag)
        except VisionfleetError as error:
            log.debug("claim not marked", extra={"job": claim.job, "reason": str(error)})

    def _ask(self, job: str, key: str, file_name: str, top: int, embed: bool = False) -> None:
        now, expire_seconds = self.now(), self.config.web.expire_seconds
        request = messages.Request(
            job=job,
            key=key,
            reply_to=self.reply_to,
            file_name=file_name,
            top=top,
            sent_at=now,
            expires_at=None if expire_seconds is None else now + expire_seconds,
            embed=embed,
        )
        self.requests.send(messages.encode(request))

    def claim(self, once: Once, job: str, data: bytes) -> Claimed:
        """Claim a job for an upload, or find its existing one; raises TryLater, Refusal if the
        bytes differ, or BadImage, which leaves the key free.
        """
        decode.check_header(data, self.config.images)
        document = documents.claim(once.name)
        claim = messages.Claim(job=job, digest=once.digest, at=self.now())
        if new := self.results.put_json_if(document.key, messages.encode(claim), None):
            return Claimed(document.key, claim, new)
        known, etag = self.results.read_tagged(document)
        if known is None:
            # Overwrite an unreadable claim.
            new = etag and self.results.put_json_if(document.key, messages.encode(claim), etag)
            if new:
                return Claimed(document.key, claim, new)
            raise TryLater(f"{document.key}: another write is under way")
        if known.digest != once.digest:
            raise Refusal("key_reused", "another upload came under this Idempotency-Key")
        return Claimed(document.key, known, etag)

    def presign(self, upload: str, content_type: str) -> PresignedPost:
        key, max_bytes = names.upload_key(upload), self.config.images.max_bytes
        expires_at = self.now() + UPLOAD_EXPIRE_SECONDS
        return self.uploads.presigned_post(key, content_type, max_bytes, expires_at)

    def start(self, upload: str, file_name: str, top: int) -> None:
        """Check a file uploaded to S3, and send its request.

        Uses a copy of the checked file, as the upload can be overwritten until the form expires.
        Idempotent: an existing copy stays, and the first result wins. Raises Refusal if there is no
        such upload, BadImage, TryLater and GiveUp.
        """
        if self.results.read(documents.result(upload)) is not None:
            return
        source, key = names.upload_key(upload), names.image_key(upload)
        stat = self.uploads.find_stat(source)
        if stat is None:  # an existing image may be another client's job
            raise Refusal("unknown_upload", "there is no such upload, or not yet")
        image = self.uploads.find_stat(key)
        if image is None or self._outlived(image):
            self._take_over(source, stat, key, file_name)
        self._ask(upload, key, file_name, top)

    def _take_over(self, source: str, stat: Stat, key: str, file_name: str) -> None:
        header = self._header(source, stat)
        metadata = file_name_metadata(file_name)
        if not self.uploads.copy((source, stat.etag), key, header.content_type, metadata):
            raise TryLater(f"{source} was written over meanwhile")

    def _header(self, key: str, stat: Stat) -> decode.Header:
        limits = self.config.images
        if stat.size > limits.max_bytes:
            limit = f"the file has {stat.size} bytes, the limit is {limits.max_bytes}"
            raise BadImage("too_large", limit)
        if stat.size > HEADER_BYTES:
            try:
                return decode.check_header(self.uploads.get_start(key, HEADER_BYTES), limits)
            except BadImage as error:
                if error.code != "not_an_image":
                    raise
        return decode.check_header(self.uploads.get(key), limits)

    def result(self, job: str) -> Result | None:
        """A job's result, None if there is none yet; raises BadMessage."""
        document = documents.result(job)
        found = self.results.find(document.key)
        return None if found is None else document.decode(found)

    def state(self, job: str, answered: bool) -> State:
        """A job's result or state, None if the job does not exist."""
        result = self.result(job)
        if result is not None:
            return result
        image = self.uploads.find_stat(names.image_key(job))
        if image is None:
            return None
        if answered or self._outlived(image):
            return self.result(job) or Gone(job)  # it may have arrived meanwhile
        return Queued(job)

    def left(self, job: str, answered: bool) -> State:
        """What is left of a repeated upload's job: an unreadable result counts as none, and a
        worker replaces it.
        """
        try:
            return self.state(job, answered)
        except BadMessage as error:
            log.warning("result unreadable", extra={"job": job, "reason": str(error)})
            return None

    def _outlived(self, image: Stat) -> bool:
        """Whether the queue no longer retains the request that was sent with this image."""
        return image.age_seconds > self.config.queue.retention_seconds
