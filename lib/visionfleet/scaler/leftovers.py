"""What the dead have left behind, and may be removed. No I/O here."""

from collections.abc import Collection, Mapping

from visionfleet.naming import (
    HEARTBEAT_SECONDS,
    HEARTBEAT_TAG,
    REPLIES_TAGS,
    draining_worker,
    reporting_worker,
)

# Six missed heartbeats; a web process renews its own every five minutes.
QUEUE_SECONDS = 6 * HEARTBEAT_SECONDS
# A worker reports every few minutes at the least, also one that no fleet knows.
OBJECT_SECONDS = 3600.0


def stale_heartbeat(tags: Mapping[str, str], now: float) -> str | None:
    """Give the heartbeat of a reply queue that nobody listens to; None for any other queue."""
    beat = tags.get(HEARTBEAT_TAG, "")
    if not (REPLIES_TAGS.items() <= tags.items() and beat.isascii() and beat.isdigit()):
        return None
    return beat if now - int(beat) > QUEUE_SECONDS else None


def is_leftover(key: str, modified_at: float, members: Collection[str], now: float) -> bool:
    """Tell whether an object is the report of, or the wish for, a worker that is long gone."""
    worker = reporting_worker(key) or draining_worker(key)
    if worker is None or worker in members:
        return False
    return now - modified_at > OBJECT_SECONDS
