"""Keeps answers by content: what a job's bytes were is remembered until its answer comes."""

import asyncio
import logging

from visionfleet.errors import VisionfleetError
from visionfleet.messages import Succeeded
from visionfleet.web.cache import Cache
from visionfleet.web.threads import Threads

log = logging.getLogger("web")

# Jobs whose answer is still to be kept, at most.
_CONTENTS = 10_000


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
