"""Fetches and decodes the image of a delivery, or ends the job without it."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from visionfleet.aws.s3 import Store
from visionfleet.classifier.completion import Completion
from visionfleet.classifier.decoding import Decoders
from visionfleet.classifier.in_flight import Delivery
from visionfleet.classifier.jobs import (
    EXPIRED,
    GAVE_UP,
    IMAGE_MISSING,
    IMAGE_REFUSED,
    Done,
    Job,
    ResultBuilder,
    is_provisional,
)
from visionfleet.classifier.retrier import Retrier
from visionfleet.classifier.uploads import UploadedImages
from visionfleet.config.schema import ImagesSection
from visionfleet.contract import documents
from visionfleet.contract.messages import Request, Timings
from visionfleet.errors import BadImage, BadMessage, NotFound, Unfit

log = logging.getLogger("classifier")

_SHORTEST_LIFECYCLE_SECONDS = 86400.0  # lifecycle rules delete objects after whole days


@dataclass(slots=True)
class Intake:
    """Fetches and decodes; `now` is AWS's time. A reload replaces `images`."""

    uploads: UploadedImages
    results: Store
    images: ImagesSection
    decoders: Decoders
    builder: ResultBuilder
    max_receives: int
    now: Callable[[], float]

    def open(self, delivery: Delivery) -> Job:
        """Decode the message; raises BadMessage."""
        request = Request.decode(delivery.message.body)
        queued = max(0.0, self.now() - request.sent_at)
        if not delivery.job:
            fields = {"job": request.job, "attempts": delivery.message.receive_count}
            log.info("job received", extra=fields | {"queue_seconds": queued})
        delivery.job = request.job
        return Job(delivery, request, Timings(queue=queued))

    def take(self, job: Job) -> Job | Done:
        """Fetch and decode the image, or return the result that ends the job; raises TryLater."""
        return self._answered_before(job) or self._rejected(job) or self._fetch_image(job)

    def _answered_before(self, job: Job) -> Done | None:
        """Return the stored result, if another worker died before it deleted the message."""
        if job.attempt == 1 and job.delivery.holders == 1:
            return None
        result = self.results.read(documents.result(job.request.job))
        if result is None:
            return None
        again = is_provisional(result) and job.attempt < self.max_receives
        return None if again else Done(job, result, duplicate=True)

    def _rejected(self, job: Job) -> Done | None:
        request = job.request
        if request.expires_at is not None and self.now() > request.expires_at:
            return self._failed(job, EXPIRED, "nobody waits for this image any more")
        if job.attempt >= self.max_receives:
            # The last delivery is not another attempt: a job that kills its worker every time would
            # go to the dead letters unanswered. It is used to tell the client.
            tries = f"given up after {job.attempt - 1} tries"
            return self._failed(job, GAVE_UP, tries)
        return None

    def _fetch_image(self, job: Job) -> Job | Done:
        started = time.monotonic()
        try:
            data = self.uploads.read(job.request.key, self.images.max_bytes)
            return self._decode(job, data, fetch=time.monotonic() - started)
        except NotFound:
            return self._without_image(job)
        except Unfit as error:
            log.error("image refused", extra={"job": job.request.job, "reason": str(error)})
            return self._failed(job, IMAGE_REFUSED, "S3 does not give the uploaded image out")
        except BadImage as error:
            return self._failed(job, error.code, str(error))

    def _without_image(self, job: Job) -> Done:
        if job.timings.queue > _SHORTEST_LIFECYCLE_SECONDS:  # a late duplicate, perhaps
            return self._failed(job, EXPIRED, "the uploaded image has expired")
        return self._failed(job, IMAGE_MISSING, "the uploaded image is no longer there")

    def _decode(self, job: Job, data: bytes, fetch: float) -> Job:
        started = time.monotonic()
        pixels = self.decoders.pixels(data, self.images)
        spent = {"fetch": fetch, "decode": time.monotonic() - started}
        return replace(job, pixels=pixels, timings=job.timings.model_copy(update=spent))

    def _failed(self, job: Job, code: str, reason: str) -> Done:
        return self.builder.failed(job, code, reason)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """The fetch stage. Once `handing_back` is set, deliveries not begun are handed back."""

    intake: Intake
    completion: Completion
    decoded: Callable[[Job], None]
    done: Callable[[Done], None]
    retrier: Retrier

    def fetch(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if self.retrier.handing_back.is_set():
                self.completion.hand_back([delivery])
            else:
                self.retrier.run(delivery, partial(self._fetch, delivery))

    def _fetch(self, delivery: Delivery) -> None:
        try:
            job = self.intake.open(delivery)
        except BadMessage as error:
            self.completion.dead_letter(delivery, str(error))
            return
        if self.completion.in_flight.holds_lease(delivery):
            taken = self.intake.take(job)
            if isinstance(taken, Job):
                self.decoded(taken)
            else:
                self.done(taken)
