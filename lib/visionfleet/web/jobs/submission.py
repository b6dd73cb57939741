"""Takes uploads in and looks results up: what a request does with S3 and SQS. It blocks."""

from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.aws.s3 import PresignedPost, Stat, Store, file_name_metadata
from visionfleet.aws.sqs import Counts
from visionfleet.contract import documents, messages, names
from visionfleet.errors import BadImage, NotFound, TryLater
from visionfleet.imaging import decode
from visionfleet.web.http.multipart import Upload
from visionfleet.web.jobs.batch_sender import BatchSender
from visionfleet.web.jobs.idempotency import Once
from visionfleet.web.jobs.responses import Queued
from visionfleet.web.jobs.result_cache import Cache
from visionfleet.web.load.fleet_load import Seen
from visionfleet.web.problems import Problem

# Enough for the header of nearly every image; else the whole object is read.
HEADER_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Submissions:
    """The way into the fleet, for threads. `now` is wall time in seconds."""

    uploads: Store
    results: Store
    requests: BatchSender
    counts: Callable[[], Counts]
    limits: decode.Limits
    reply_to: str
    expire_seconds: float | None
    now: Callable[[], float]
    target_seconds: int
    cache: Cache | None = None

    def accept(self, job: str, upload: Upload, top: int) -> None:
        """Check an upload, store it and ask for its answer; after that it cannot be lost.

        The image is stored first: a request without its image would be a failed job.
        Raises BadImage, and TryLater or GiveUp when S3 or SQS did not take it.
        """
        header = decode.check_header(upload.data, self.limits)
        key, name = names.image_key(job), upload.file_name
        self.uploads.put(key, upload.data, header.content_type, file_name_metadata(name))
        self._ask(job, name, top)

    def _ask(self, job: str, name: str, top: int) -> None:
        now = self.now()
        request = messages.Request(
            job=job,
            key=names.image_key(job),
            reply_to=self.reply_to,
            file_name=name,
            top=top,
            sent_at=now,
            expires_at=None if self.expire_seconds is None else now + self.expire_seconds,
        )
        self.requests.send(messages.encode(request))

    def claim(self, once: Once, job: str) -> tuple[str, bool]:
        """Find the job of an upload that may come again, and tell whether it is a new one.

        Raises Problem when something else came under its key, and TryLater.
        """
        document = documents.claim(once.name)
        claim = messages.Claim(job=job, digest=once.digest, at=self.now())
        if self.results.put_json_if(document.key, messages.encode(claim), None):
            return job, True
        known = self.results.read(document)
        if known is None:
            raise TryLater(f"{document.key}: another write is under way")
        if known.digest != once.digest:
            raise Problem("key_reused", "another upload came under this Idempotency-Key")
        return known.job, False

    def target(self, upload: str, content_type: str) -> PresignedPost:
        """Sign the form by which a client may put a file into the input bucket."""
        key = names.upload_key(upload)
        return self.uploads.presigned_post(
            key, content_type, self.limits.max_bytes, self.target_seconds
        )

    def start(self, upload: str, file_name: str, top: int) -> None:
        """Check a file that a client has put into S3, and ask for its answer.

        The image is a copy of what was checked: the upload may be written over until its form
        expires. Starting twice is harmless: the image stays, and the first result wins.
        Raises Problem when there is no such upload, BadImage, TryLater and GiveUp.
        """
        if self.result(upload) is not None:
            return
        key = names.image_key(upload)
        if not self.uploads.exists(key):
            self._take_over(names.upload_key(upload), key, file_name)
        self._ask(upload, file_name, top)

    def _take_over(self, source: str, key: str, file_name: str) -> None:
        try:
            stat = self.uploads.stat(source)
            header = self._header(source, stat)
        except NotFound as error:
            raise Problem("unknown_upload", "there is no such upload, or not yet") from error
        metadata = file_name_metadata(file_name)
        if not self.uploads.copy((source, stat.etag), key, header.content_type, metadata):
            raise TryLater(f"{source} was written over meanwhile")

    def _header(self, key: str, stat: Stat) -> decode.Header:
        """Look at the header of an object, and read as little of it as that takes."""
        if stat.size > self.limits.max_bytes:
            limit = f"the file has {stat.size} bytes, the limit is {self.limits.max_bytes}"
            raise BadImage("too_large", limit)
        if stat.size > HEADER_BYTES:
            try:
                return decode.check_header(self.uploads.get_start(key, HEADER_BYTES), self.limits)
            except BadImage as error:
                if error.code != "not_an_image":
                    raise
        return decode.check_header(self.uploads.get(key), self.limits)

    def reports(self) -> list[messages.WorkerReport]:
        """Read what the workers say of themselves."""
        keys = self.results.keys(names.WORKERS_PREFIX)
        workers = filter(None, map(names.reporting_worker, keys))
        found = (self.results.read(documents.worker_report(worker)) for worker in workers)
        return [report for report in found if report is not None]

    def result(self, job: str) -> messages.Succeeded | messages.Failed | None:
        """Read a job's result, None while there is none; raises BadMessage."""
        document = documents.result(job)
        found = self.results.find(document.key)
        return None if found is None else document.decode(found)

    def state(self, job: str) -> messages.Succeeded | messages.Failed | Queued | None:
        """Read a job's result or its state, None for a job that was never accepted."""
        result = self.result(job)
        if result is not None:
            return result
        return Queued(job) if self.uploads.exists(names.image_key(job)) else None

    def look(self) -> Seen:
        """Look at queue and fleet."""
        return Seen(self.counts(), self.results.read(documents.STATUS))

    def fleet(self) -> bytes | None:
        """Read what the scaler said last, None before it said anything."""
        return self.results.find(names.STATUS_KEY)
