"""Removes what dead processes have left behind, one call to AWS at a time, beside the real work."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import ReplyQueues, queue_name
from visionfleet.contract.names import (
    FLEET_PREFIX,
    HEARTBEAT_SECONDS,
    HEARTBEAT_TAG,
    REPLIES_TAGS,
    draining_worker,
    reporting_worker,
)
from visionfleet.errors import VisionfleetError
from visionfleet.logs.episode import Episode

log = logging.getLogger("scaler")

# Six missed heartbeats; a web process renews its own every five minutes.
QUEUE_SECONDS = 6 * HEARTBEAT_SECONDS
# A worker reports every few minutes at the least, also one that no fleet knows.
OBJECT_SECONDS = 3600.0


@dataclass(slots=True)
class GarbageCollector:
    """Sweeps every so often, spread over ticks. A reply queue is removed when two sweeps in a row
    have seen the same old heartbeat: after an outage of SQS every heartbeat is old.
    """

    queues: ReplyQueues
    store: Store
    every_seconds: float
    _due_at: float | None = None
    _sweep: Iterator[None] | None = None
    _suspects: dict[str, str | None] = field(default_factory=dict)
    _outage: Episode = field(default_factory=lambda: Episode(log, "house-keeping failed"))

    def step(
        self, members: Collection[str], now: float, wall: float, may_act: Callable[[], bool]
    ) -> None:
        """Make at most one call; what AWS refuses is told once and never stops the scaler.

        `now` is monotonic, `wall` AWS's time.
        """
        if self._due_at is None:
            self._due_at = now + self.every_seconds
        if self._sweep is None and now >= self._due_at:
            self._due_at = now + self.every_seconds
            self._sweep = self._whole(members, wall)
        if self._sweep is None or not may_act():
            return
        try:
            next(self._sweep)
        except StopIteration:
            self._sweep = None
            self._outage.succeeded()
        except VisionfleetError as error:
            self._sweep = None
            self._outage.failed(error)

    def _whole(self, members: Collection[str], now: float) -> Iterator[None]:
        """Stop after each call, before which the lease is looked at again."""
        yield from self._queues(now)
        listed = self.store.listed(FLEET_PREFIX)
        yield
        for entry in listed:
            if is_leftover(entry.key, entry.modified_at, members, now):
                self.store.delete(entry.key)
                log.info("removed", extra={"key": entry.key, "reason": "its worker is long gone"})
                yield

    def _queues(self, now: float) -> Iterator[None]:
        urls = self.queues.urls()
        yield
        self._suspects = {url: self._suspects[url] for url in urls if url in self._suspects}
        for url in urls:
            beat = stale_heartbeat(self.queues.tags(url), now)
            if beat is not None and self._suspects.get(url) == beat:
                self.queues.remove(url)
                fields = {"queue": queue_name(url), "heartbeat": beat}
                log.info("removed", extra=fields | {"reason": "no web process listens to it"})
            self._suspects[url] = beat
            yield


def stale_heartbeat(tags: Mapping[str, str], now: float) -> str | None:
    """Give the heartbeat of a reply queue that nobody listens to; None for any other queue."""
    beat = tags.get(HEARTBEAT_TAG, "")
    if not (REPLIES_TAGS.items() <= tags.items() and beat.isascii() and beat.isdigit()):
        return None
    return beat if now - int(beat) > QUEUE_SECONDS else None


def is_leftover(key: str, modified_at: float, members: Collection[str], now: float) -> bool:
    """Tell whether an object is the report or the drain request of a worker that is long gone."""
    worker = reporting_worker(key) or draining_worker(key)
    if worker is None or worker in members:
        return False
    return now - modified_at > OBJECT_SECONDS
