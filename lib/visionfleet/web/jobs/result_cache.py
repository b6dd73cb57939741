"""Results by content: the same bytes under the same model are answered without a worker."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.aws.s3 import Store
from visionfleet.contract import documents
from visionfleet.contract.messages import CachedResult, Succeeded, Timings, encode
from visionfleet.contract.names import by_content_key, by_name_key, result_key
from visionfleet.errors import VisionfleetError
from visionfleet.web.http.multipart import Upload
from visionfleet.web.jobs.executor import Threads

log = logging.getLogger("web")

# Jobs whose answer is still to be kept, at most.
_CONTENTS = 10_000


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache in the output bucket, for threads. `now` is wall time in seconds."""

    results: Store
    by_name: bool
    now: Callable[[], float]

    def find(
        self, job: str, upload: Upload, top: int, fingerprint: str | None
    ) -> tuple[str, Succeeded | None]:
        """Look for an answer to these bytes; gives their SHA-256 too.

        What is found is stored as the result of this job first, as a worker would have done it.
        """
        digest = hashlib.sha256(upload.data).hexdigest()
        if fingerprint is None:
            return digest, None
        found = self.results.read(documents.cached_result(digest, fingerprint))
        if found is None or found.asked < top or found.result.model.fingerprint != fingerprint:
            return digest, None
        result = found.result.model_copy(
            update={
                "job": job,
                "file_name": upload.file_name,
                "top": found.result.top[:top],
                "timings": Timings(),
                "attempts": 0,
                "finished_at": self.now(),
            }
        )
        self.results.put_json(result_key(job), encode(result))
        if self.by_name and upload.file_name:
            label = result.best.encode()
            self.results.put(by_name_key(upload.file_name), label, "text/plain")
        return digest, result

    def keep(self, digest: str, asked: int, result: Succeeded) -> None:
        """Keep an answer; the name of the file and of the job are nobody else's business."""
        plain = result.model_copy(update={"file_name": "", "job": ""})
        key = by_content_key(digest, result.model.fingerprint)
        self.results.put_json(key, encode(CachedResult(asked=asked, result=plain)))


class Keeping:
    """Of the jobs under way, those whose answers are kept for the same bytes."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._contents: dict[str, tuple[str, int]] = {}
        self._under_way: set[asyncio.Future[None]] = set()

    def remember(self, job: str, digest: str, top: int) -> None:
        """Keep the answer of this job when it comes; beyond some thousands the oldest is let go."""
        self._contents[job] = digest, top
        if len(self._contents) > _CONTENTS:
            del self._contents[next(iter(self._contents))]

    def answered(self, result: Succeeded, cache: Cache | None) -> None:
        """Keep an answer that is to be kept, beside the loop."""
        content = self._contents.pop(result.job, None)
        if content is not None and cache is not None:
            kept = asyncio.ensure_future(self._keep(cache, *content, result))
            self._under_way.add(kept)
            kept.add_done_callback(self._under_way.discard)

    async def _keep(self, cache: Cache, digest: str, top: int, result: Succeeded) -> None:
        try:
            await self._threads.run("keep", cache.keep, digest, top, result)
        except VisionfleetError as error:  # a cache may forget
            log.debug("answer not kept", extra={"job": result.job, "reason": str(error)})
