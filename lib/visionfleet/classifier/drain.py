"""Reports the worker's state to S3, and drains the worker on request."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from visionfleet.classifier.drain_triggers import DrainRequest, DrainTrigger, watch
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.classifier.worker_report import Reporter
from visionfleet.contract.messages import WorkerState
from visionfleet.host.process import SignalEvents

log = logging.getLogger("classifier")

_STEP_SECONDS = 0.1
_SHUT_DOWN_SECONDS = 300.0
# Most errors of S3 are over by then, and it leaves most of a spot notice's two minutes.
_PATIENCE_SECONDS = 20.0


@dataclass(slots=True)
class DrainController:
    """Runs on its own thread, so that a hanging S3 cannot delay a stop. A drain waits for S3 no
    longer than `patience_seconds`: then what S3 holds up is handed back.

    `shut_down` powers the machine off and returns an error or None; `failed`: it is still running.
    """

    pipeline: Pipeline
    reporter: Reporter
    triggers: Sequence[DrainTrigger]
    shut_down: Callable[[], str | None]
    signals: SignalEvents
    failed: bool = False
    patience_seconds: float = _PATIENCE_SECONDS

    def run(self) -> None:
        request = watch(self.signals.stop, self.triggers, lambda: self._observe("idle", "busy"))
        if request is None:
            return
        in_flight = self.pipeline.counts().in_flight
        log.info("draining", extra={"reason": request.reason, "in_flight": in_flight})
        self.pipeline.receiver.close()
        if self._drained():
            log.info("drained")
            self._wait_for_termination(request)

    def _drained(self) -> bool:
        """Wait until nothing is in flight; False if the stop came first."""
        hand_back_at = time.monotonic() + self.patience_seconds
        while self.pipeline.working():
            self._observe("draining", "draining")
            if time.monotonic() > hand_back_at:
                self.pipeline.hand_back_held_up(self.patience_seconds)
            if self.signals.stop.wait(_STEP_SECONDS):
                return False
        return True

    def _wait_for_termination(self, request: DrainRequest) -> None:
        self._observe("drained", "drained")
        # At once: the scaler terminates a drained worker.
        self.reporter.write("drained", self.pipeline.counts())
        deadline = float("inf")
        if request.shut_down:
            deadline = time.monotonic() + _SHUT_DOWN_SECONDS
            log.warning("shutting down", extra={"reason": request.reason})
            fault = self.shut_down()
            if fault is not None:
                self._fail(fault)
        while not self.signals.stop.wait(_STEP_SECONDS):
            self._observe("drained", "drained")
            if time.monotonic() > deadline:
                self._fail(f"still running {_SHUT_DOWN_SECONDS:.0f} s after the command")

    def _fail(self, fault: str) -> None:
        log.error("not shut down", extra={"reason": fault})
        self.failed = True
        self.signals.to_stop()

    def _observe(self, without_work: WorkerState, with_work: WorkerState) -> None:
        counts = self.pipeline.counts()
        self.reporter.observe(with_work if counts.in_flight else without_work, counts)
