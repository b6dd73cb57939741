"""Is there room for one more image, and if not, when will there be? No I/O here."""

import math
from dataclasses import dataclass

# Longer promises are not worth much: fleets grow, queues are emptied by hand.
LONGEST_RETRY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen of queue and fleet.

    `backlog` counts images that wait or are worked on, `ready` the workers that work now,
    `maximum` those that there can be. `service_seconds` is the time of one image and worker,
    `boot_seconds` that until new workers are there.
    """

    backlog: int
    ready: int
    maximum: int
    service_seconds: float
    boot_seconds: float


@dataclass(frozen=True, slots=True)
class Room:
    """What one process takes in. `queue_seconds` None lets the queue grow without end."""

    waiting: int
    queue_seconds: float | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no room, and when to come back."""

    reason: str
    retry_seconds: float


def estimated_wait(load: Load) -> float:
    """Estimate how long an image waits that comes now: until all before it are done.

    Those that are ready work at once; when they need longer than a boot, the fleet is at its
    maximum from then on. With 1 worker ready, 9 at the most, 0.5 s each and a boot of 60 s, 1200
    images take 60 s for the first 120, and 60 s more for the rest.
    """
    ready, most = min(load.ready, load.maximum), max(1, load.maximum)
    alone = load.backlog * load.service_seconds
    if ready and alone / ready <= load.boot_seconds:
        return alone / ready
    if ready >= most:
        return alone / most
    left = alone - ready * load.boot_seconds
    return load.boot_seconds + left / most


def refusal(load: Load | None, waiting: int, room: Room) -> Refusal | None:
    """Judge one more request; None lets it in, and so does a fleet of which nothing is known."""
    if waiting >= room.waiting:
        retry = 1.0 if load is None else load.service_seconds * waiting / max(1, load.ready)
        return Refusal(f"{waiting} requests wait here already", _bounded(retry))
    if load is None or room.queue_seconds is None:
        return None
    wait = estimated_wait(load)
    if wait <= room.queue_seconds:
        return None
    reason = f"an image would wait for about {wait:.0f} s, the limit is {room.queue_seconds:g} s"
    return Refusal(reason, _bounded(wait - room.queue_seconds))


def _bounded(seconds: float) -> float:
    return float(math.ceil(min(max(seconds, 1.0), LONGEST_RETRY_SECONDS)))
