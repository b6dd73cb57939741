"""What can make a worker stop taking work: a wish in S3, a warning of EC2, an orphan's idleness."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.classifier import idle_shutdown
from visionfleet.classifier.idle_shutdown import Idleness
from visionfleet.classifier.spot import Interruptions
from visionfleet.classifier.stats import Events
from visionfleet.classifier.worker_report import Reporter
from visionfleet.contract.documents import LEADER_LEASE, STATUS
from visionfleet.errors import TryLater

log = logging.getLogger("classifier")

_STEP_SECONDS = 0.25
_IDLE_CHECK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DrainRequest:
    """Why this worker shall drain, and whether its machine shall then be shut down."""

    reason: str
    shut_down: bool = False


@dataclass(frozen=True, slots=True)
class DrainTrigger:
    """`look` is called at the start and every so many seconds, until it has a wish."""

    every_seconds: float
    look: Callable[[], DrainRequest | None]


def watch(
    stop: threading.Event, lookouts: Sequence[DrainTrigger], due: Callable[[], None]
) -> DrainRequest | None:
    """Call `due` a few times a second and each lookout in its time, until one has a wish.

    Returns that wish, None when `stop` was set.
    """
    step = min([_STEP_SECONDS, *(lookout.every_seconds for lookout in lookouts)])
    waits = [0.0] * len(lookouts)
    while not stop.wait(step):
        due()
        for i, lookout in enumerate(lookouts):
            waits[i] -= step
            if waits[i] <= 0:
                waits[i] = lookout.every_seconds
                if (wish := lookout.look()) is not None:
                    return wish
    return None


def scaler_wish(reporter: Reporter, every_seconds: float) -> DrainTrigger:
    """Look for the drain object that the scaler writes."""

    def look() -> DrainRequest | None:
        return DrainRequest("asked to") if reporter.asked_to_drain() else None

    return DrainTrigger(every_seconds, look)


def interruption(interruptions: Interruptions, reporter: Reporter, events: Events) -> DrainTrigger:
    """Look for EC2's warnings. An interruption is a wish to drain.

    A rebalance recommendation is only told. It says that the risk has grown, often for hours, and
    a drain takes seconds of the two minutes that an interruption leaves: to drain on it would
    give up paid capacity for nothing, and the replacement may come from the same pool.
    """

    def look() -> DrainRequest | None:
        for notice in interruptions.look():
            events.noticed(notice.kind)
            reporter.note(notice.sentence)
            log.warning("EC2 warns", extra={"kind": notice.kind, "reason": notice.sentence})
            if notice.kind == "interruption":
                return DrainRequest(notice.sentence)
        return None

    return DrainTrigger(interruptions.every_seconds, look)


@dataclass(slots=True)
class Orphan:
    """Looks whether this worker has been idle for too long with no scaler alive.

    `now` is wall time, which a lease is written in; `clock` is monotonic; both in seconds.
    """

    store: Store
    limit_seconds: float
    in_flight: Callable[[], int]
    receives: Callable[[], int]
    now: Callable[[], float]
    clock: Callable[[], float]
    _idleness: Idleness = field(default_factory=Idleness)

    def lookout(self) -> DrainTrigger:
        """Look often enough, beside the limit."""
        return DrainTrigger(min(_IDLE_CHECK_SECONDS, self.limit_seconds / 5), self.look)

    def look(self) -> DrainRequest | None:
        """Ask S3 for the scaler's sign of life, once this worker has been idle for too long."""
        idle = self._idleness.observe(self.in_flight(), self.receives(), self.clock())
        if idle < self.limit_seconds:
            return None
        try:
            alive_until = idle_shutdown.alive_until(
                self.store.read(LEADER_LEASE), self.store.read(STATUS)
            )
        except TryLater as error:  # what cannot be read proves nothing
            log.warning("no look at the scaler's lease", extra={"reason": str(error)})
            return None
        reason = idle_shutdown.shut_down_reason(idle, self.limit_seconds, alive_until, self.now())
        return None if reason is None else DrainRequest(reason, shut_down=True)
