"""The classifier daemon: loads the model, then answers requests until it is told to stop."""

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from visionfleet import __version__
from visionfleet.aws.imds import Metadata, endpoint, instance_id
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.classifier.drain import DrainController
from visionfleet.classifier.drain_triggers import IdleShutdown
from visionfleet.classifier.handover import (
    HandoverJournal,
    Takeover,
    folder_of,
    journal_header,
    take_over,
)
from visionfleet.classifier.in_flight import InFlight, WorkCounts
from visionfleet.classifier.metrics import ClassifierMetrics, port_of
from visionfleet.classifier.worker_report import Identity, Reporter
from visionfleet.config import Config
from visionfleet.config.reload import Reach
from visionfleet.config.scaler import FLEET_TIMES
from visionfleet.contract.names import worker_on
from visionfleet.errors import BadModel
from visionfleet.host import cpu_quota, process, systemd
from visionfleet.host.cpu_time import cpu_seconds
from visionfleet.host.daemon_threads import crash, run_bounded, run_in_thread
from visionfleet.host.process import SignalEvents, StartupTimer
from visionfleet.host.systemd import Notifier
from visionfleet.host.watchdog import Watchdog
from visionfleet.logs import setup
from visionfleet.model.open import open_model
from visionfleetd import startup
from visionfleetd.classifier import wiring

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")

REACH = Reach(
    live=frozenset(
        {"images.max_bytes", "images.max_pixels", "images.formats", "log.level"}
        | {"classifier.report_seconds", "classifier.stop_seconds"}
        | {"classifier.idle_shutdown_seconds"}
    ),
    concerns=frozenset(
        {"name", "aws", "storage", "queue", "images", "model", "classifier", "results", "metrics"}
    ),
)

_REPORT_SECONDS = 2.0  # for the last report of a stop
# Beyond classifier.stop_seconds: to hand back messages, report and exit.
_STOP_MARGIN_SECONDS = 10.0


class RunningWorker:
    def __init__(
        self,
        config: Config,
        path: Path | None,
        clients: wiring.WorkerClients,
        model: "Inference",
        reporter: Reporter,
        signals: SignalEvents,
        takeover: Takeover,
    ) -> None:
        self._config, self._path, self._reporter, self._signals = config, path, reporter, signals
        worker, metrics = reporter.identity.worker, reporter.metrics
        watchdog = systemd.watchdog_seconds(os.environ)
        loops = Watchdog(time.monotonic, wiring.allowed_seconds(config, watchdog or 0.0))
        reporter.stuck = loops.stuck
        self._intake = wiring.intake(config, worker, clients, model)
        header = journal_header(clients.requests().url)
        self._journal = HandoverJournal(folder_of(os.environ), header)
        enough, child = metrics.capacity.target_in_flight, wiring.model_child(path)
        in_flight = InFlight(config.classifier.prefetch, self._journal, enough)
        intake = self._intake
        self._pipeline = wiring.pipeline(
            config, clients, intake, model, metrics, loops, in_flight, takeover, child
        )
        self._idle_shutdown = IdleShutdown(
            clients.results,
            config.classifier,
            self._pipeline.counts,
            metrics.receives_with_messages,
            clients.clock,
            time.monotonic,
        )
        status = wiring.status(self._pipeline, reporter, model.info.name)
        self._notifier = Notifier(log, loops, watchdog, status, crash(log))
        self._notifier.ready()

    def answer_once(self) -> int:
        """Process the messages in the queue; returns the exit status."""
        self._pipeline.start()
        return self._finish(hand_back=False, seconds=self._config.classifier.max_processing_seconds)

    def serve(self) -> int:
        """Work until the stop; calls nothing here that may hang. Returns the exit status."""
        triggers = wiring.triggers(self._config, self._reporter, self._idle_shutdown)
        power_off = partial(systemd.power_off, os.environ)
        drain = DrainController(self._pipeline, self._reporter, triggers, power_off, self._signals)
        self._pipeline.start()
        draining = run_in_thread("drain", drain.run, crash(log))
        while not self._signals.wait(threading.TIMEOUT_MAX):
            if self._signals.take_reload():
                self._reload()
        seconds = self._config.classifier.stop_seconds
        self._notifier.stopping(seconds + _STOP_MARGIN_SECONDS)
        draining.join(1.0)  # a pending report must not overwrite the last one
        status = self._finish(hand_back=True, seconds=seconds)
        return 1 if drain.failed else status

    def _reload(self) -> None:
        with startup.reloading():
            self._config = startup.reloaded(self._path, self._config, REACH, log)
            self._intake.images = self._config.images
            self._reporter.settings = self._idle_shutdown.settings = self._config.classifier

    def _finish(self, hand_back: bool, seconds: float) -> int:
        clean = self._pipeline.finish(hand_back, time.monotonic() + seconds)
        self._journal.close()
        counts = self._pipeline.counts()
        last_report = partial(self._reporter.write, "stopped", counts)
        run_bounded("last report", last_report, _REPORT_SECONDS, crash(log))
        log.info("stopped", extra={"handled": counts.handled, "left_in_hand": counts.in_flight})
        return process.EXIT_OK if clean else 1


def main(argv: Sequence[str] | None = None) -> None:
    phases = StartupTimer(process.started_at(), process.boot_clock)
    parser = startup.parser("classifier", __doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--worker", help="name; default: host and number, or instance")
    parser.add_argument(
        "--number",
        type=int,
        default=os.getpid(),
        help="number of this worker on its host; default: its process id",
    )
    parser.add_argument(
        "--once", action="store_true", help="process what is in the queue, then exit"
    )
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    signals = process.signal_events(log)
    host = socket.gethostname()
    number = arguments.number
    worker = arguments.worker or _default_name(config, worker_on(host, number), signals.stop)
    setup.set_up(config.log.level, "classifier", worker=worker)
    phases.end("start")
    sys.exit(_run(config, worker, host, signals, phases, arguments))


def _default_name(config: Config, default: str, stop: threading.Event) -> str:
    """Default name of a worker: the instance id on EC2, else host and number."""
    if not config.classifier.ec2_instance:
        return default
    ask = partial(instance_id, Metadata(endpoint(os.environ), time.monotonic))
    return startup.answered(ask, stop, log, Random())


def _run(
    config: Config,
    worker_name: str,
    host: str,
    signals: SignalEvents,
    phases: StartupTimer,
    arguments: argparse.Namespace,
) -> int:
    clients = _clients(config, signals.stop)
    metrics = ClassifierMetrics()
    results, clock = clients.results, clients.clock
    started_at, host_up_seconds = clock() - process.age_seconds(), process.started_at()
    identity = Identity(worker_name, host, __version__, started_at, host_up_seconds)
    reporter = Reporter(results, identity, config.classifier, metrics, clock, time.monotonic)
    boot = partial(_boot, config, clients.requests(), reporter)
    takeover = startup.unless_stopped(boot, signals.stop)
    phases.end("aws")
    model = _model_or_exit(config, results, signals.stop, phases, reporter)
    metrics.capacity.cores, metrics.capacity.cpu_seconds = cpu_quota.granted(), cpu_seconds
    _tell_ready(config, model, reporter, phases)
    worker = RunningWorker(config, arguments.config, clients, model, reporter, signals, takeover)
    if arguments.once:
        return worker.answer_once()
    wiring.tell_metrics(config, model, reporter)
    port = port_of(config.classifier.metrics_port, worker_name)
    with startup.metrics_served(metrics.registry, config.metrics.address, port, log):
        return worker.serve()


def _clients(config: Config, stop: threading.Event) -> wiring.WorkerClients:
    clients = startup.answered(partial(wiring.WorkerClients, config), stop, log, Random())
    checks = (clients.uploads.verify, clients.results.verify, clients.requests)
    startup.verify(checks, stop, log, Random())
    return clients


def _boot(config: Config, requests: Queue, reporter: Reporter) -> Takeover:
    """Report the boot, and take over what dead workers of this machine held."""
    reporter.write("booting", WorkCounts())
    takeover = take_over(folder_of(os.environ), journal_header(requests.url))
    takeover.claim(requests, config.queue.visibility_timeout_seconds, time.monotonic())
    return takeover


def _model_or_exit(
    config: Config,
    bucket: Store,
    stop: threading.Event,
    phases: StartupTimer,
    reporter: Reporter,
) -> "Inference":
    """Load the model, or report why there is none, and exit."""
    try:
        return _model(config, bucket, stop, phases)
    except BadModel as error:
        log.error("model cannot be used", extra={"reason": str(error)})
        reporter.fault = f"the model cannot be used: {error}"
        reporter.write("booting", WorkCounts())
        sys.exit(process.EXIT_CONFIG)
    except startup.Stopped:
        last = partial(reporter.write, "stopped", WorkCounts())
        run_bounded("report", last, _REPORT_SECONDS, crash(log))
        raise


def _model(
    config: Config, bucket: Store, stop: threading.Event, phases: StartupTimer
) -> "Inference":
    """Load the model; raises BadModel, and Stopped."""
    load = partial(open_model, config, os.environ, phases, bucket)
    systemd.notify("STATUS=loading the model")
    # The scaler gives up on a start after the same time.
    kind = "ec2" if config.classifier.ec2_instance else config.scaler.fleet
    limit_seconds = FLEET_TIMES[kind].boot_limit_seconds
    model = startup.answered(load, stop, log, Random(), limit_seconds, in_place=True)
    if stop.is_set():
        raise startup.Stopped(process.EXIT_OK)
    return model


def _tell_ready(
    config: Config, model: "Inference", reporter: Reporter, phases: StartupTimer
) -> None:
    worker, info = reporter.identity.worker, model.info
    setup.set_up(config.log.level, "classifier", worker=worker, model=info.name)
    reporter.model = info
    reporter.unpublished_model = wiring.described(model, worker, reporter.now())
    reporter.boot_seconds, reporter.boot_phases = phases.total(), phases.seconds
    log.info(
        "ready",
        extra={"worker": worker, "model": info.name}
        | {"fingerprint": info.fingerprint, "boot_seconds": reporter.boot_seconds}
        | {f"{name}_seconds": seconds for name, seconds in phases.seconds.items()},
    )


if __name__ == "__main__":
    main()
