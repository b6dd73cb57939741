"""Removes what dead processes left behind, one AWS call per tick."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

from visionfleet.aws.reply_queues import ReplyQueues, queue_name
from visionfleet.aws.s3 import Store
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

# Six missed heartbeats.
QUEUE_SECONDS = 6 * HEARTBEAT_SECONDS
# Workers report every few minutes at least, also those not in the fleet.
OBJECT_SECONDS = 3600.0


@dataclass(slots=True)
class GarbageCollector:
    """Sweeps periodically, spread over ticks.

    A reply queue is removed only when two sweeps saw the same old heartbeat: after an outage of SQS
    every heartbeat is old.
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
        """Make at most one call; errors are logged once per episode and never stop the scaler.

        `now` is monotonic, `wall` AWS's time.
        """
        if self._due_at is None:
            self._due_at = now + self.every_seconds
        if self._sweep is None and now >= self._due_at:
            self._due_at = now + self.every_seconds
            self._sweep = self._sweep_all(members, wall)
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

    def _sweep_all(self, members: Collection[str], now: float) -> Iterator[None]:
        """Yields after each call, so that the lease is checked before the next."""
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
    """The heartbeat of an abandoned reply queue; None for any other queue."""
    beat = tags.get(HEARTBEAT_TAG, "")
    if not (REPLIES_TAGS.items() <= tags.items() and beat.isascii() and beat.isdigit()):
        return None
    return beat if now - int(beat) > QUEUE_SECONDS else None


def is_leftover(key: str, modified_at: float, members: Collection[str], now: float) -> bool:
    worker = reporting_worker(key) or draining_worker(key)
    if worker is None or worker in members:
        return False
    return now - modified_at > OBJECT_SECONDS
