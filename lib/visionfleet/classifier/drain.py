"""Tells how a worker is, and drains it when that is wanted: what talks to S3 beside the work."""

import logging
import time
from collections.abc import Callable, Sequence

from visionfleet.classifier.drain_triggers import DrainRequest, DrainTrigger, watch
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.classifier.worker_report import Reporter
from visionfleet.contract.messages import WorkerState
from visionfleet.host.process import SignalEvents

log = logging.getLogger("classifier")

_STEP_SECONDS = 0.1
_SHUT_DOWN_SECONDS = 300.0


class DrainController:
    """Runs on a thread of its own, so that an S3 that hangs cannot hold up a stop.

    `shut_down` ends the machine and returns what went wrong. A worker that could not be ended is
    stopped with `failed` set: started again it is of use, drained it only costs.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        reporter: Reporter,
        lookouts: Sequence[DrainTrigger],
        shut_down: Callable[[], str | None],
    ) -> None:
        self._pipeline, self._reporter = pipeline, reporter
        self._lookouts, self._shut_down = lookouts, shut_down
        self.failed = False

    def run(self, wishes: SignalEvents) -> None:
        """Report and look out until there is a wish to drain, then drain; until the stop."""
        wish = watch(wishes.stop, self._lookouts, lambda: self._observe("idle", "busy"))
        if wish is None:
            return
        in_flight = self._pipeline.tally().in_flight
        log.info("draining", extra={"reason": wish.reason, "in_flight": in_flight})
        self._pipeline.close_intake()
        if self._drained(wishes):
            log.info("drained")
            self._wait_to_be_ended(wishes, wish)

    def _drained(self, wishes: SignalEvents) -> bool:
        """Work off what is in hand; False when the stop came first."""
        while self._pipeline.receiving() or self._pipeline.tally().in_flight:
            self._observe("draining", "draining")
            if wishes.stop.wait(_STEP_SECONDS):
                return False
        return True

    def _wait_to_be_ended(self, wishes: SignalEvents, wish: DrainRequest) -> None:
        """By who asked for it; where nobody did, by the machine's own shutdown."""
        self._observe("drained", "drained")
        self._reporter.write("drained", self._pipeline.tally())  # at once: it may be the last
        deadline = float("inf")
        if wish.shut_down:
            deadline = time.monotonic() + _SHUT_DOWN_SECONDS
            log.warning("shutting down", extra={"reason": wish.reason})
            fault = self._shut_down()
            if fault is not None:
                self._fail(wishes, fault)
        while not wishes.stop.wait(_STEP_SECONDS):
            self._observe("drained", "drained")
            if time.monotonic() > deadline:
                self._fail(wishes, f"still running {_SHUT_DOWN_SECONDS:.0f} s after the command")

    def _fail(self, wishes: SignalEvents, fault: str) -> None:
        log.error("not shut down", extra={"reason": fault})
        self.failed = True
        wishes.to_stop()

    def _observe(self, without_work: WorkerState, with_work: WorkerState) -> None:
        tally = self._pipeline.tally()
        self._reporter.observe(with_work if tally.in_flight else without_work, tally)
