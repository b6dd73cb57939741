"""What is known of queue and fleet: looked up on a thread, and only when somebody asks."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from visionfleet.aws.sqs import Counts
from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus
from visionfleet.errors import BadMessage, TryLater, VisionfleetError
from visionfleet.web.load.admission import Load

log = logging.getLogger("web")

# A look is two calls to AWS; an idle process that nobody asks makes none.
LOOK_SECONDS = 5.0
# What was seen longer ago says nothing of now.
FRESH_SECONDS = 30.0
_AT_WORK = ("idle", "busy")


@dataclass(frozen=True, slots=True)
class Seen:
    """One look; `status` None is a scaler that has not written one."""

    counts: Counts
    status: FleetStatus | None


@dataclass(frozen=True, slots=True)
class Priors:
    """What to reckon with until the scaler has learned better."""

    service_seconds: float
    boot_seconds: float


def load(seen: Seen, priors: Priors, now: float) -> Load | None:
    """Put queue and fleet together; None without a scaler that is alive."""
    status = seen.status
    if status is None or now - status.at > SCALER_SILENT_SECONDS:
        return None
    return Load(
        backlog=seen.counts.visible + seen.counts.in_flight,
        ready=sum(status.states.get(state, 0) for state in _AT_WORK),
        maximum=status.maximum,
        service_seconds=status.service_seconds or priors.service_seconds,
        boot_seconds=status.boot_seconds or priors.boot_seconds,
    )


class FleetLoad:
    """The last look. `clock` is monotonic; `noted` is told whether AWS answered."""

    def __init__(
        self,
        look: Callable[[], Load | None],
        pool: Executor,
        noted: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        self._look = look
        self._pool = pool
        self._noted = noted
        self._clock = clock
        self._under_way: asyncio.Task[None] | None = None
        self._asked_at: float | None = None
        self._seen_at = 0.0
        self._load: Load | None = None

    def load(self) -> Load | None:
        """Give what is known now, and have it looked up when it is old."""
        self.refresh()
        return self._load if self._clock() - self._seen_at <= FRESH_SECONDS else None

    def refresh(self) -> None:
        """Begin a look when the last one is old; nobody waits for it."""
        due = self._asked_at is None or self._clock() - self._asked_at >= LOOK_SECONDS
        if due and self._under_way is None:
            self._asked_at = self._clock()
            self._under_way = asyncio.ensure_future(self._refresh())

    async def _refresh(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            self._load = await loop.run_in_executor(self._pool, self._look)
            self._seen_at = self._clock()
            self._noted(True)
        except VisionfleetError as error:
            self._noted(not isinstance(error, TryLater))
            level = logging.WARNING if isinstance(error, BadMessage) else logging.DEBUG
            log.log(level, "queue and fleet not seen", extra={"reason": str(error)})
        finally:
            self._under_way = None
