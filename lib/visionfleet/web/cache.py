"""Results by content: the same bytes under the same model are answered without a worker."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from visionfleet.errors import BadMessage
from visionfleet.messages import CachedResult, Succeeded, Timings, decode_cached, encode
from visionfleet.naming import by_content_key, by_name_key, result_key
from visionfleet.store import Store
from visionfleet.web.uploads import Upload


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
        found = self._read(by_content_key(digest, fingerprint))
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

    def _read(self, key: str) -> CachedResult | None:
        body = self.results.find(key)
        try:
            return None if body is None else decode_cached(body.decode(errors="replace"))
        except BadMessage:  # written by another version: as good as not there
            return None
