"""Is there room for one more image, and if not, when will there be? No I/O here."""

import math
from dataclasses import dataclass

from visionfleet.config.web import WebSection

# Longer promises are not worth much: fleets grow, queues are emptied by hand.
LONGEST_RETRY_SECONDS = 3600.0


class Refusal(Exception):
    """No answer: `code` is for machines, the text for people; None seconds: no try will mend it."""

    def __init__(self, code: str, reason: str, retry_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_seconds = retry_seconds


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen of queue and fleet."""

    backlog: int  # images that wait or are worked on
    ready: int  # workers that work now
    maximum: int  # workers that there can be
    service_seconds: float  # of one image and worker
    boot_seconds: float  # until new workers are there
    fault: str = ""  # why none comes, while none works


def estimated_wait(load: Load) -> float:
    """Seconds until all images before are done: by those ready, after a boot by the maximum."""
    ready, maximum = min(load.ready, load.maximum), max(1, load.maximum)
    alone = load.backlog * load.service_seconds
    if ready and alone / ready <= load.boot_seconds:
        return alone / ready
    if ready >= maximum:
        return alone / maximum
    left = alone - ready * load.boot_seconds
    return load.boot_seconds + left / maximum


def refusal(load: Load | None, waiting: int, web: WebSection) -> Refusal | None:
    """Judge one more request; None lets it in, and so does a fleet of which nothing is known."""
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
