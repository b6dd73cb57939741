"""The scaler daemon: observes, decides, acts and reports, once per interval."""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random

from visionfleet.aws.cloudwatch import AlarmMetrics
from visionfleet.aws.from_config import access
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue, ReplyQueues
from visionfleet.config import Config
from visionfleet.config.fields import DAYS
from visionfleet.config.reload import Reach
from visionfleet.contract import job_ids, names
from visionfleet.errors import TryLater
from visionfleet.host import cpu_quota, process, systemd
from visionfleet.host.process import SignalEvents
from visionfleet.host.threads import crash, run_bounded
from visionfleet.logs.episode import Episode
from visionfleet.scaler import dry_run
from visionfleet.scaler.autoscaler import Rule, Scaler
from visionfleet.scaler.cloudwatch_alarm import AlarmPublisher
from visionfleet.scaler.decision import Policy
from visionfleet.scaler.election import Terms
from visionfleet.scaler.executor import Executor
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.observation import Observer
from visionfleet.scaler.policy_settings import policy_of
from visionfleet.scaler.schedule import Window, minutes
from visionfleet.scaler.stats import Stats
from visionfleet.scaler.status_store import StatusStore
from visionfleet.scaler.worker_reports import WorkerReports
from visionfleetd import startup
from visionfleetd.scaler import fleets

log = logging.getLogger("scaler")

REACH = Reach(
    concerns=frozenset({"name", "aws", "storage", "scaler", "supervisor", "ec2", "metrics"}),
    live=frozenset(
        {"scaler.policy", "scaler.minimum", "scaler.maximum", "scaler.spare", "scaler.schedule"}
        | {"scaler.interval_seconds", "scaler.hold_seconds", "scaler.target_wait_seconds"}
        | {"scaler.service_seconds", "scaler.paid_seconds"}
        | {"classifier.report_seconds", "log.level"}
    ),
)
RELEASE_SECONDS = 3.0  # for the last write of a stop
# A tick waits no longer for CloudWatch than this; it is not worth a second try.
PUBLISH_SECONDS = 3.0


class _Parts:
    """The clients of this process, and what is built on them once AWS answers."""

    def __init__(self, config: Config) -> None:
        door = access(config.aws)
        self._sqs = door.client("sqs")
        self._config = config
        self._name = names.requests_queue(config.name)
        self.store = Store(door.client("s3"), config.storage.output_bucket)
        maximum = _policy(config).maximum
        self.fleet = fleets.fleet(config, door, self.store, maximum, _holder(), Random())
        self.figures = Stats()

    def checks(self) -> Sequence[Callable[[], object]]:
        """List what must answer before the daemon is ready."""
        return (self.store.verify, self.requests, self.fleet.verify)

    def requests(self) -> Queue:
        """Find the queue of requests; raises NotFound and TryLater."""
        return Queue(self._sqs, self._name)

    def observer(self) -> Observer:
        """Make the eyes."""
        return Observer(self.requests(), self.fleet, WorkerReports(self.store))

    def scaler(self) -> Scaler:
        """Make the scaler."""
        settings = self._config.scaler
        terms = Terms(settings.lease_seconds, settings.lease_margin_seconds)
        queues = ReplyQueues(self._sqs, names.replies_prefix(self._config.name))
        return Scaler(
            observer=self.observer(),
            tenure=LeaderLease(self.store, _holder(), terms, time.time),
            record=StatusStore(self.store),
            hands=Executor(self.fleet, self.store, self.figures, time.time, _decision_id),
            housekeeper=GarbageCollector(queues, self.store, settings.housekeeping_seconds),
            figures=self.figures,
            rule=_rule(self._config),
            now=time.time,
            bulletin=self._bulletin() if settings.fleet == "ec2" else None,
        )

    def _bulletin(self) -> AlarmPublisher:
        door = replace(access(self._config.aws), max_attempts=1)
        client = door.client("cloudwatch", read_timeout_seconds=PUBLISH_SECONDS)
        return AlarmPublisher(AlarmMetrics(client, self._config.name).at_maximum)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    parser = startup.parser("scaler", __doc__ or "")
    parser.add_argument("--once", action="store_true", help="one look and its steps, then exit")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be done, and do nothing of it"
    )
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    wishes = SignalEvents()
    process.stop_on_signals(lambda name: _note_signal(name, wishes))
    process.reload_on_hangup(wishes.to_reload)
    sys.exit(_run(config, arguments.config, wishes, arguments.once, arguments.dry_run))


def _note_signal(name: str, wishes: SignalEvents) -> None:
    log.info("stopping", extra={"signal": name})
    wishes.to_stop()


def _run(config: Config, path: Path | None, wishes: SignalEvents, once: bool, dry: bool) -> int:
    parts, interval = _Parts(config), config.scaler.interval_seconds
    if not startup.verify(parts.checks(), wishes.stop, log, Random()):
        return process.EXIT_OK
    if dry:
        wait = wishes.wait if not once else lambda _: True
        return dry_run.run(
            parts.observer(), StatusStore(parts.store), _rule(config), wait, interval
        )
    scaler = parts.scaler()
    if once:
        return _once(scaler)
    with _metrics(config, parts.figures):
        _log_ready(config, scaler.rule)
        systemd.notify("READY=1")
        try:
            _Loop(scaler, config, path, wishes).run()
        finally:
            systemd.notify("STOPPING=1")
            _release_in_time(scaler.tenure)
    log.info("stopped")
    return process.EXIT_OK


def _log_ready(config: Config, rule: Rule) -> None:
    fields = {"fleet": config.scaler.fleet, "policy": rule.name}
    limits = {"minimum": rule.policy.minimum, "maximum": rule.policy.maximum}
    log.info("ready", extra={**fields, **limits})


@dataclass(slots=True)
class _Loop:
    """Ticks until stopped; a failed look changes nothing, and is told once per episode."""

    scaler: Scaler
    config: Config
    path: Path | None
    wishes: SignalEvents
    _outage: Episode = field(
        default_factory=lambda: Episode(log, "tick failed", "ticks succeed again")
    )
    _told: str = ""

    def run(self) -> None:
        """Run until the stop. The watchdog is fed by each tick that ends, well or not."""
        watchdog = systemd.watchdog_seconds(os.environ)
        while not self.wishes.stop.is_set():
            if self.wishes.take_reload():
                self._reload()
            self._tick()
            interval = self.config.scaler.interval_seconds
            if watchdog is not None:
                systemd.notify("WATCHDOG=1")
                interval = min(interval, watchdog / 3)
            self.wishes.wait(interval)

    def _tick(self) -> None:
        try:
            decision = self.scaler.tick()
        except TryLater as error:
            self._outage.failed(error)
            self.scaler.figures.failed()
            self._tell("waiting for AWS or the fleet; nothing is changed")
            return
        self._outage.succeeded()
        standing = "acting" if self.scaler.acting else f"standby to {self.scaler.tenure.acting}"
        self._tell(f"{standing}: {decision.reason}")

    def _reload(self) -> None:
        with startup.reloading():
            self.config = startup.reloaded(self.path, self.config, REACH, log)
            self.scaler.rule = _rule(self.config)
            self.scaler.hands.fleet.maximum = self.scaler.rule.policy.maximum

    def _tell(self, text: str) -> None:
        """Show systemd, and so `systemctl status`, what goes on."""
        if text != self._told:
            systemd.notify(f"STATUS={text}")
            self._told = text


def _once(scaler: Scaler) -> int:
    """Tick once and give the lease back; 1 when nothing could be done."""
    try:
        scaler.tick()
    except TryLater as error:
        log.error("tick failed", extra={"reason": str(error)})
        return 1
    finally:
        _release_in_time(scaler.tenure)
    return process.EXIT_OK if scaler.acting else 1


def _release_in_time(tenure: LeaderLease) -> None:
    """Give the lease back, but let no silent S3 hold up the end."""
    run_bounded("last call", partial(_release, tenure), RELEASE_SECONDS, crash(log))


def _release(tenure: LeaderLease) -> None:
    try:
        tenure.release()
    except TryLater as error:
        log.warning("lease not released, it expires", extra={"reason": str(error)})


def _metrics(config: Config, figures: Stats) -> AbstractContextManager[object]:
    settings = config.scaler
    if not settings.metrics_port:
        return nullcontext()
    from visionfleet.classifier.metrics import Server
    from visionfleet.scaler.stats import Numbers

    try:
        return closing(Server(Numbers(figures), config.metrics.address, settings.metrics_port))
    except OSError as error:  # to scale without them is better than not to
        log.error("no metrics", extra={"port": settings.metrics_port, "reason": str(error)})
        return nullcontext()


def _holder() -> str:
    """Name this process: no other one, nor a later life of it, has the same name."""
    return f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


def _decision_id(now: float) -> str:
    return job_ids.new_job_id(now, os.urandom(job_ids.RANDOM_BYTES))


def _rule(config: Config) -> Rule:
    windows = tuple(
        Window(
            frozenset(map(DAYS.index, entry.days)),
            minutes(entry.start),
            minutes(entry.end),
            entry.minimum,
            entry.timezone,
        )
        for entry in config.scaler.schedule
    )
    return Rule(config.scaler.policy, _policy(config), windows)


def _policy(config: Config) -> Policy:
    return policy_of(config, cpu_quota.granted())


if __name__ == "__main__":
    main()
