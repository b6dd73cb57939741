"""Reasons to drain: a drain request in S3, an EC2 interruption, idleness without a scaler."""

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
_CLOCK_SLACK_SECONDS = 2.0  # that two daemons' readings of AWS's clock differ by


@dataclass(frozen=True, slots=True)
class DrainRequest:
    reason: str
    shut_down: bool = False


@dataclass(frozen=True, slots=True)
class DrainTrigger:
    """`look` is polled every `every_seconds`, until it returns a request."""

    every_seconds: float
    look: Callable[[], DrainRequest | None]


def watch(
    stop: threading.Event, triggers: Sequence[DrainTrigger], due: Callable[[], None]
) -> DrainRequest | None:
    """Poll the triggers for a request, and call `due` at each step; None at the stop."""
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
    """Polls for the scaler's drain request; `started_at` is of this process, in AWS's time."""
    document = documents.drain_request(worker)

    def look() -> DrainRequest | None:
        try:
            asked_at = store.read(document)
        except VisionfleetError as error:
            log.warning("drain check failed", extra={"reason": str(error)})
            return None
        # An older request was meant for an earlier worker of this name.
        old = asked_at is None or asked_at < started_at() - _CLOCK_SLACK_SECONDS
        return None if old else DrainRequest("asked to")

    return DrainTrigger(every_seconds, look)


def interruption(interruptions: Interruptions, reporter: Reporter) -> DrainTrigger:
    """A spot interruption drains; a rebalance recommendation is only reported: that risk may last
    for hours, and draining takes seconds of the two minutes' notice.
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
    """`now` is wall time, like a lease's, `clock` is monotonic. A reload replaces `settings`."""

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
        except VisionfleetError as error:  # an unreadable lease proves nothing
            log.warning("no look at the scaler's lease", extra={"reason": str(error)})
            return None
        reason = shut_down_reason(idle, limit, alive, self.now())
        return None if reason is None else DrainRequest(reason, shut_down=True)
