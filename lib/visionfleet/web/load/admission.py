"""Admission control: is there capacity for another image, and if not, when? No I/O here."""

import math
from dataclasses import dataclass

from visionfleet.config.web import WebSection

# The upper limit of Retry-After: fleets grow, and queues get purged.
LONGEST_RETRY_SECONDS = 3600.0


class Refusal(Exception):
    """An error for the client: `code` for machines, the text for people; without `retry_seconds`
    retrying is useless.
    """

    def __init__(self, code: str, reason: str, retry_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Load:
    backlog: int  # images waiting or in flight
    ready: int  # workers that are ready
    maximum: int  # the fleet's maximum
    service_seconds: float  # per image and worker
    boot_seconds: float  # boot time of a new worker
    fault: str = ""  # why no worker starts, while none is ready


def estimated_wait(load: Load) -> float:
    """Seconds to clear the backlog with the ready workers, and after a boot with the maximum."""
    ready, maximum = min(load.ready, load.maximum), max(1, load.maximum)
    alone = load.backlog * load.service_seconds
    if ready and alone / ready <= load.boot_seconds:
        return alone / ready
    if ready >= maximum:
        return alone / maximum
    left = alone - ready * load.boot_seconds
    return load.boot_seconds + left / maximum


def refusal(load: Load | None, waiting: int, web: WebSection) -> Refusal | None:
    """Decide on one more request; None admits it, also if the load is unknown."""
    if waiting >= web.max_waiting:
        retry = 1.0 if load is None else load.service_seconds * waiting / max(1, load.ready)
        return _overloaded(f"{waiting} requests wait here already", retry)
    if load is None or web.max_queue_seconds is None:
        return None
    wait, limit = estimated_wait(load), web.max_queue_seconds
    if wait <= limit:
        return None
    reason = f"an image would wait for about {wait:.0f} s, the limit is {limit:g} s"
    return _overloaded(reason, wait - limit)


def _overloaded(reason: str, seconds: float) -> Refusal:
    bounded = min(max(seconds, 1.0), LONGEST_RETRY_SECONDS)
    return Refusal("overloaded", reason, float(math.ceil(bounded)))
