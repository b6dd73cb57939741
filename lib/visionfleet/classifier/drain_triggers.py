"""What makes a worker drain: a drain request in S3, a notice of EC2, idleness without a scaler."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from visionfleet.aws.s3 import Store
from visionfleet.classifier.idle_shutdown import Idleness, alive_until, shut_down_reason
from visionfleet.classifier.in_flight import WorkCounts
from visionfleet.classifier.spot import POLL_SECONDS, Interruptions
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config.classifier import ClassifierSection
from visionfleet.contract import documents
from visionfleet.errors import VisionfleetError

log = logging.getLogger("classifier")

_STEP_SECONDS = 0.25
_IDLE_CHECK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DrainRequest:
    reason: str
    shut_down: bool = False


@dataclass(frozen=True, slots=True)
class DrainTrigger:
    """`look` is called at the start and every so many seconds, until it has a request."""

    every_seconds: float
    look: Callable[[], DrainRequest | None]


def watch(
    stop: threading.Event, triggers: Sequence[DrainTrigger], due: Callable[[], None]
) -> DrainRequest | None:
    """Call `due` at each step, each trigger in its time; the first request, or None at the stop."""
    step = min([_STEP_SECONDS, *(trigger.every_seconds for trigger in triggers)])
    waits = [0.0] * len(triggers)
    while not stop.wait(step):
        due()
        for i, trigger in enumerate(triggers):
            waits[i] -= step
            if waits[i] <= 0:
                waits[i] = trigger.every_seconds
                if (request := trigger.look()) is not None:
                    return request
    return None


def scaler_request(
    store: Store, worker: str, started_at: Callable[[], float], every_seconds: float
) -> DrainTrigger:
    """`started_at` tells since when this worker lives, in AWS's time as it is known now."""
    document = documents.drain_request(worker)

    def look() -> DrainRequest | None:
        try:
            asked_at = store.read(document)
        except VisionfleetError as error:
            log.warning("drain check failed", extra={"reason": str(error)})
            return None
        # A request from before this life was meant for the worker that had the name then.
        old = asked_at is None or asked_at < started_at()
        return None if old else DrainRequest("asked to")

    return DrainTrigger(every_seconds, look)


def interruption(interruptions: Interruptions, reporter: Reporter) -> DrainTrigger:
    """A spot interruption asks for a drain; a rebalance recommendation is only told: its risk may
    last for hours, and a drain takes seconds of the two minutes that an interruption leaves.
    """

    def look() -> DrainRequest | None:
        for notice in interruptions.look():
            reporter.metrics.notices.labels(notice.kind).inc()
            reporter.note(notice.sentence)
            log.warning("EC2 warns", extra={"kind": notice.kind, "reason": notice.sentence})
            if notice.kind == "interruption":
                return DrainRequest(notice.sentence)
        return None

    return DrainTrigger(POLL_SECONDS, look)


@dataclass(slots=True)
class IdleShutdown:
    """`now` is wall time, as that of a lease, `clock` monotonic. `settings` may be replaced."""

    store: Store
    settings: ClassifierSection
    counts: Callable[[], WorkCounts]
    receives: Callable[[], float]
    now: Callable[[], float]
    clock: Callable[[], float]
    _idleness: Idleness = field(default_factory=Idleness)

    def trigger(self) -> DrainTrigger:
        limit = self.settings.idle_shutdown_seconds
        return DrainTrigger(min(_IDLE_CHECK_SECONDS, limit / 5), self.look)

    def look(self) -> DrainRequest | None:
        limit = self.settings.idle_shutdown_seconds
        idle = self._idleness.observe(self.counts().in_flight, self.receives(), self.clock())
        if idle < limit:
            return None
        try:
            lease = self.store.read(documents.LEADER_LEASE)
            alive = alive_until(lease, self.store.read(documents.STATUS))
        except VisionfleetError as error:  # what cannot be read proves nothing
            log.warning("no look at the scaler's lease", extra={"reason": str(error)})
            return None
        reason = shut_down_reason(idle, limit, alive, self.now())
        return None if reason is None else DrainRequest(reason, shut_down=True)
