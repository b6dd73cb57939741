"""A worker from its readiness to its stop, and what a reload changes of it on the way."""

import logging
import os
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from visionfleet.classifier.drain import DrainController
from visionfleet.classifier.drain_triggers import IdleShutdown
from visionfleet.classifier.fetch import Intake
from visionfleet.classifier.pipeline import Pipeline
from visionfleet.classifier.worker_report import Reporter
from visionfleet.config import Config
from visionfleet.host import process, systemd
from visionfleet.host.process import SignalEvents
from visionfleet.host.systemd import Notifier
from visionfleet.host.threads import crash, run_bounded, run_in_thread
from visionfleetd import startup
from visionfleetd.classifier import sidecars
from visionfleetd.classifier.reload import REACH, image_limits

log = logging.getLogger("classifier")

_REPORT_SECONDS = 2.0  # for the last report of a stop
# What a stop may take beyond classifier.stop_seconds: to hand back, to report, to end.
_STOP_MARGIN_SECONDS = 10.0


@dataclass(slots=True)
class WorkerProcess:
    """`config` is read from `path` and replaced by a reload."""

    config: Config
    path: Path | None
    intake: Intake
    pipeline: Pipeline
    reporter: Reporter
    notifier: Notifier
    signals: SignalEvents

    def answer_once(self) -> int:
        """Answer what waits in the queue; returns the exit status."""
        self.pipeline.start()
        return self._finish(hurry=False, seconds=self.config.classifier.max_processing_seconds)

    def serve(self) -> int:
        """Work until the stop; returns the exit status.

        This thread calls nothing that may hang, so a stop is prompt.
        """
        idle_shutdown = IdleShutdown(
            self.reporter.store,
            self.config.classifier,
            self.pipeline.counts,
            self.reporter.metrics.receives_with_messages,
            time.time,
            time.monotonic,
        )
        triggers = sidecars.drain_triggers(self.config, self.reporter, idle_shutdown)
        power_off = partial(systemd.power_off, os.environ)
        drain = DrainController(self.pipeline, self.reporter, triggers, power_off, self.signals)
        self.pipeline.start()
        draining = run_in_thread("drain", drain.run, crash(log))
        while not self.signals.wait(threading.TIMEOUT_MAX):
            if self.signals.take_reload():
                self._reload(idle_shutdown)
        seconds = self.config.classifier.stop_seconds
        self.notifier.stopping(seconds + _STOP_MARGIN_SECONDS)
        draining.join(1.0)  # a report that is under way must not overtake the last one
        status = self._finish(hurry=True, seconds=seconds)
        return 1 if drain.failed else status

    def _reload(self, idle_shutdown: IdleShutdown) -> None:
        with startup.reloading():
            self.config = startup.reloaded(self.path, self.config, REACH, log)
            self.intake.limits = image_limits(self.config.images)
            self.reporter.settings = idle_shutdown.settings = self.config.classifier

    def _finish(self, hurry: bool, seconds: float) -> int:
        clean = self.pipeline.finish(hurry, time.monotonic() + seconds)
        counts = self.pipeline.counts()
        last_report = partial(self.reporter.write, "stopped", counts)
        run_bounded("last report", last_report, _REPORT_SECONDS, crash(log))
        log.info("stopped", extra={"handled": counts.handled, "left_in_hand": counts.in_flight})
        return process.EXIT_OK if clean else 1
