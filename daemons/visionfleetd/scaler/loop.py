"""The scaler's loop: ticks, reloads, and notifications to systemd."""

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from visionfleet.config import Config
from visionfleet.config.reload import Reach
from visionfleet.errors import VisionfleetError
from visionfleet.host import systemd
from visionfleet.host.process import SignalEvents
from visionfleet.logs.episode import Episode
from visionfleet.scaler.autoscaler import Autoscaler
from visionfleetd import startup
from visionfleetd.scaler import wiring

log = logging.getLogger("scaler")

REACH = Reach(
    concerns=frozenset({"name", "aws", "storage", "scaler", "supervisor", "ec2", "metrics"})
    | {"classifier.cpus_per_worker"},
    live=frozenset(
        {"scaler.policy", "scaler.minimum", "scaler.maximum", "scaler.spare", "scaler.schedule"}
        | {"scaler.interval_seconds", "scaler.hold_seconds", "scaler.target_wait_seconds"}
        | {"scaler.service_seconds", "scaler.paid_seconds"}
        | {"classifier.report_seconds", "log.level"}
    ),
)


@dataclass(slots=True)
class TickLoop:
    """Ticks until stopped; a failed tick changes nothing and is logged once per episode."""

    autoscaler: Autoscaler
    config: Config
    path: Path | None
    signals: SignalEvents
    _outage: Episode = field(
        default_factory=lambda: Episode(log, "tick failed", "ticks succeed again")
    )
    _told: str = ""

    def run(self) -> None:
        """Run until the stop. Each completed tick feeds the watchdog, also a failed one."""
        watchdog = systemd.watchdog_seconds(os.environ)
        while not self.signals.stop.is_set():
            if self.signals.take_reload():
                self._reload()
            self._tick()
            interval = self.config.scaler.interval_seconds
            if watchdog is not None:
                systemd.notify("WATCHDOG=1")
                interval = min(interval, watchdog / 3)
            self.signals.wait(interval)

    def _tick(self) -> None:
        autoscaler = self.autoscaler
        try:
            decision = autoscaler.tick()
        except VisionfleetError as error:
            self._outage.failed(error)
            self._tell("waiting for AWS or the fleet; nothing is changed")
            return
        self._outage.succeeded()
        lease = autoscaler.leader_lease
        if autoscaler.acting:
            self._tell(f"acting: {decision.reason}")
        else:
            self._tell(f"standby to {lease.seen.holder}: {lease.fault() or decision.reason}")

    def _reload(self) -> None:
        with startup.reloading():
            self.config = startup.reloaded(self.path, self.config, REACH, log)
            policy = wiring.policy(self.config)
            self.autoscaler.policy = policy
            self.autoscaler.executor.fleet.maximum = policy.maximum

    def _tell(self, text: str) -> None:
        if text != self._told:
            systemd.notify(f"STATUS={text}")
            self._told = text
