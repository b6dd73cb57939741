"""The load of queue and fleet, refreshed on a thread when requests need it."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from visionfleet.aws.sqs import Counts
from visionfleet.config.scaler import FLEET_TIMES
from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus
from visionfleet.errors import BadMessage, TryLater, VisionfleetError
from visionfleet.web.load.admission import Load
from visionfleet.web.load.readiness import Readiness

log = logging.getLogger("web")

# A refresh is two AWS calls; an idle process makes none.
LOOK_SECONDS = 5.0
# Older data is ignored.
FRESH_SECONDS = 30.0
_AT_WORK = ("idle", "busy")


def load(
    counts: Counts, status: FleetStatus | None, service_seconds: float, now: float
) -> Load | None:
    """Combine counts and status; `service_seconds` is until learned. None without a status."""
    if status is None or now - status.at > SCALER_SILENT_SECONDS:
        return None
    return Load(
        backlog=counts.visible + counts.in_flight,
        ready=sum(status.states.get(state, 0) for state in _AT_WORK),
        maximum=status.maximum,
        service_seconds=status.service_seconds or service_seconds,
        boot_seconds=status.boot_seconds or FLEET_TIMES["ec2"].boot_seconds,
        fault=status.fault,
    )


@dataclass(slots=True, eq=False)
class FleetLoad:
    """Caches the last load; `readiness` is told whether AWS answered."""

    look: Callable[[], Load | None]
    pool: Executor
    readiness: Readiness
    _under_way: asyncio.Task[None] | None = None
    _asked_at: float | None = None
    _seen_at: float = 0.0
    _load: Load | None = None

    def load(self) -> Load | None:
        """The cached load, None if too old; refreshes it in the background."""
        self.refresh()
        return self._load if self.readiness.clock() - self._seen_at <= FRESH_SECONDS else None

    def fault(self) -> str:
        """Why no worker works; empty if one does or it is unknown."""
        known = self.load()
        return known.fault if known else ""

    def refresh(self) -> None:
        due = self._asked_at is None or self.readiness.clock() - self._asked_at >= LOOK_SECONDS
        if due and self._under_way is None:
            self._asked_at = self.readiness.clock()
            self._under_way = asyncio.ensure_future(self._refresh())

    async def _refresh(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            self._load = await loop.run_in_executor(self.pool, self.look)
            self._seen_at = self.readiness.clock()
            self.readiness.answered = True
        except VisionfleetError as error:
            self.readiness.answered = not isinstance(error, TryLater)
            level = logging.WARNING if isinstance(error, BadMessage) else logging.DEBUG
            log.log(level, "queue and fleet not seen", extra={"reason": str(error)})
        finally:
            self._under_way = None
