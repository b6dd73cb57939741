"""A cache of results by content: the same bytes with the same model need no worker."""

import asyncio
import hashlib
import logging
from collections.abc import Callable

from visionfleet.aws.s3 import Store
from visionfleet.contract import documents
from visionfleet.contract.messages import CachedResult, Succeeded, Timings, encode
from visionfleet.contract.names import by_content_key, by_name_key, result_key
from visionfleet.errors import VisionfleetError
from visionfleet.web.jobs.answers import Upload
from visionfleet.web.jobs.submission import UNACCEPTED, Threads

log = logging.getLogger("web")

# The most jobs whose result is still to be cached.
_CONTENTS = 10_000


class ResultCache:
    """The cache in the output bucket. `now` is wall time in seconds."""

    def __init__(self, results: Store, threads: Threads, now: Callable[[], float]) -> None:
        self._results, self._threads, self._now = results, threads, now
        self._contents: dict[str, tuple[str, int]] = {}
        self._under_way: set[asyncio.Future[None]] = set()

    async def find(
        self, job: str, upload: Upload, top: int, fingerprint: str | None, by_name: bool
    ) -> Succeeded | None:
        """Find a result and store it as the job's own, unless there is one. Raises Refusal."""
        digest, found = await self._threads.call(
            "cache", UNACCEPTED, job, self._find, job, upload, top, fingerprint, by_name
        )
        if found is None:
            self._contents[job] = digest, top
            if len(self._contents) > _CONTENTS:
                del self._contents[next(iter(self._contents))]
        return found

    def answered(self, result: Succeeded) -> None:
        content = self._contents.pop(result.job, None)
        if content is not None:
            kept = asyncio.ensure_future(self._keep(*content, result))
            self._under_way.add(kept)
            kept.add_done_callback(self._under_way.discard)

    async def _keep(self, digest: str, top: int, result: Succeeded) -> None:
        # Leave out the file name and job id of another client.
        plain = result.model_copy(update={"file_name": "", "job": ""})
        key = by_content_key(digest, result.model.fingerprint)
        body = encode(CachedResult(asked=top, result=plain))
        try:
            await self._threads.run("keep", self._results.put_json, key, body)
        except VisionfleetError as error:  # a failed write only loses a cache entry
            log.debug("answer not kept", extra={"job": result.job, "reason": str(error)})

    def _find(
        self, job: str, upload: Upload, top: int, fingerprint: str | None, by_name: bool
    ) -> tuple[str, Succeeded | None]:
        digest = hashlib.sha256(upload.data).hexdigest()
        if fingerprint is None:
            return digest, None
        found = self._results.read(documents.cached_result(digest, fingerprint))
        if found is None or found.asked < top or found.result.model.fingerprint != fingerprint:
            return digest, None
        result = found.result.model_copy(
            update={
                "job": job,
                "file_name": upload.file_name,
                "top": found.result.top[:top],
                "timings": Timings(),
                "attempts": 0,
                "finished_at": self._now(),
            }
        )
        self._results.put_json(result_key(job), encode(result))
        if by_name and upload.file_name:
            label = result.best.encode()
            self._results.put(by_name_key(upload.file_name), label, "text/plain")
        return digest, result
