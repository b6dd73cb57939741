"""Takes uploads in and looks results up: what a request does with S3 and SQS. It blocks."""

from collections.abc import Callable
from dataclasses import dataclass

from visionfleet import images, messages
from visionfleet.store import Store, file_name_metadata
from visionfleet.web.answers import Queued
from visionfleet.web.sending import SharedSender
from visionfleet.web.uploads import Upload


@dataclass(frozen=True, slots=True)
class Desk:
    """The way into the fleet, for threads. `now` is wall time in seconds."""

    uploads: Store
    results: Store
    requests: SharedSender
    limits: images.Limits
    reply_to: str
    expire_seconds: float | None
    now: Callable[[], float]

    def accept(self, job: str, upload: Upload, top: int) -> None:
        """Check an upload, store it and ask for its answer; after that it cannot be lost.

        The image is stored first: a request without its image would be a failed job.
        Raises BadImage, and TryLater or GiveUp when S3 or SQS did not take it.
        """
        header = images.check_header(upload.data, self.limits)
        key, name = messages.image_key(job), upload.file_name
        self.uploads.put(key, upload.data, header.content_type, file_name_metadata(name))
        now = self.now()
        request = messages.Request(
            job=job,
            key=key,
            reply_to=self.reply_to,
            file_name=name,
            top=top,
            sent_at=now,
            expires_at=None if self.expire_seconds is None else now + self.expire_seconds,
        )
        self.requests.send(messages.encode(request))

    def result(self, job: str) -> messages.Succeeded | messages.Failed | None:
        """Read a job's result, None while there is none."""
        found = self.results.find(messages.result_key(job))
        return None if found is None else messages.decode_result(found.decode(errors="replace"))

    def state(self, job: str) -> messages.Succeeded | messages.Failed | Queued | None:
        """Read a job's result or its state, None for a job that was never accepted."""
        result = self.result(job)
        if result is not None:
            return result
        return Queued(job) if self.uploads.exists(messages.image_key(job)) else None

    def fleet(self) -> bytes | None:
        """Read what the scaler said last, None before it said anything."""
        return self.results.find(messages.STATUS_KEY)
