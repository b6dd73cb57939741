"""The front of the pipeline: what a delivery of a message turns into."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import BoundedSemaphore

from visionfleet.aws.s3 import Store
from visionfleet.classifier.isolation import Isolation
from visionfleet.classifier.jobs import (
    EXPIRED,
    GAVE_UP,
    IMAGE_MISSING,
    Done,
    Job,
    ResultBuilder,
    is_provisional,
)
from visionfleet.classifier.visibility import Delivery
from visionfleet.contract import documents
from visionfleet.contract.messages import Request, Timings
from visionfleet.errors import BadImage, NotFound
from visionfleet.imaging import decode
from visionfleet.imaging.preprocess import Preprocessing, prepare

log = logging.getLogger("classifier")

# Images that are decoded at one time. More threads wait for S3, which takes no memory; an image of
# 50 megapixels takes 150 MB.
DECODERS = 4


@dataclass(slots=True)
class Intake:
    """Fetches and decodes. `now` is wall time, `clock` measures; both in seconds.

    `limits` may be replaced at any time.
    """

    uploads: Store
    results: Store
    limits: decode.Limits
    preprocessing: Preprocessing
    author: ResultBuilder
    isolation: Isolation
    max_receives: int
    now: Callable[[], float]
    clock: Callable[[], float]
    decoding: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(DECODERS))

    def open(self, lease: Delivery) -> Job:
        """Decode the message; raises BadMessage."""
        request = Request.decode(lease.message.body)
        queued = max(0.0, self.now() - request.sent_at)
        if not lease.job:
            fields = {"job": request.job, "attempts": lease.message.receive_count}
            log.info("job received", extra=fields | {"queue_seconds": queued})
        lease.job = request.job
        return Job(lease, request, Timings(queue=queued))

    def take(self, job: Job) -> Job | Done:
        """Bring a job to its pixels, or to its end when it has one already.

        Raises TryLater when S3 does not answer.
        """
        return self._answered_before(job) or self._without_a_look(job) or self._look(job)

    def _answered_before(self, job: Job) -> Done | None:
        """A message seen before may have its result, when a worker died before deleting it."""
        if job.attempt == 1:
            return None
        result = self.results.read(documents.result(job.request.job))
        if result is None:
            return None
        again = is_provisional(result) and job.attempt < self.max_receives
        return None if again else Done(job, result, stored=True)

    def _without_a_look(self, job: Job) -> Done | None:
        request: Request = job.request
        if request.expires_at is not None and self.now() > request.expires_at:
            return self._failed(job, EXPIRED, "nobody waits for this image any more")
        if job.attempt >= self.max_receives:
            # The last delivery is not for another try: a job whose worker dies every time
            # would go to the dead letters unanswered. It is for telling the client.
            tries = f"given up after {job.attempt - 1} tries"
            return self._failed(job, GAVE_UP, tries)
        return None

    def _look(self, job: Job) -> Job | Done:
        started = self.clock()
        try:
            data = self.uploads.get(job.request.key)
        except NotFound:
            return self._failed(job, IMAGE_MISSING, "the uploaded image is no longer there")
        fetch = self.clock() - started
        try:
            if job.attempt == self.max_receives - 1:
                return self._classify_alone(job, data)
            return self._decode(job, data, fetch)
        except BadImage as error:
            return self._failed(job, error.code, str(error))

    def _classify_alone(self, job: Job, data: bytes) -> Done:
        """Spend the last try in a child process: whatever happens there, it happens to no other."""
        log.warning("last try, alone", extra={"job": job.request.job, "attempts": job.attempt})
        started = self.clock()
        ranking = self.isolation.classify(data)
        return self.author.succeeded(job, ranking, self.clock() - started, self.now())

    def _decode(self, job: Job, data: bytes, fetch: float) -> Job:
        with self.decoding:
            started = self.clock()
            image = decode.decode(data, self.limits, self.preprocessing.resize)
            pixels = prepare(image, self.preprocessing)
            return job.decoded(pixels, fetch, self.clock() - started)

    def _failed(self, job: Job, code: str, reason: str) -> Done:
        return self.author.failed(job, code, reason, self.now())
