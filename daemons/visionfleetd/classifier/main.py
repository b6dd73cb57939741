"""The classifier daemon: loads the model, then answers requests until it is told to stop."""

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from threading import Event
from typing import TYPE_CHECKING

from visionfleet import __version__
from visionfleet.aws.imds import Metadata, endpoint, instance_id
from visionfleet.classifier.drain import DrainController
from visionfleet.classifier.drain_triggers import DrainTrigger
from visionfleet.classifier.pipeline import Pipeline, Tally
from visionfleet.classifier.stats import Events
from visionfleet.classifier.worker_report import Identity, Reporter
from visionfleet.config import Config
from visionfleet.config.scaler import FLEET_TIMES
from visionfleet.errors import BadModel
from visionfleet.host import process, systemd
from visionfleet.host.process import SignalEvents
from visionfleet.host.startup_timing import StartupTimer
from visionfleet.host.systemd import Notifier
from visionfleet.host.threads import crash, run_bounded, run_in_thread
from visionfleet.host.watchdog import Watchdog
from visionfleet.logs import setup
from visionfleet.model.open import open_model
from visionfleetd import startup
from visionfleetd.classifier import sidecars
from visionfleetd.classifier.reload import REACH, Tuned
from visionfleetd.classifier.wiring import Clients, Worker

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")

_REPORT_SECONDS = 2.0  # for the last report of a stop
# What a stop may take beyond classifier.stop_seconds: to hand back, to report, to end.
_STOP_MARGIN_SECONDS = 10.0

_NOTHING = Tally(in_flight=0, handled=0, service_seconds=None)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    started_at = process.started_at(time.time())
    phases = StartupTimer(started_at, time.time)
    parser = startup.parser("classifier", __doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--worker", help="name; default: host and number, or instance")
    parser.add_argument(
        "--number",
        type=int,
        default=os.getpid(),
        help="of this worker on its host; default: its process",
    )
    parser.add_argument("--once", action="store_true", help="answer what waits now, then exit")
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    wishes = SignalEvents()
    process.stop_on_signals(lambda name: _note_signal(name, wishes))
    process.reload_on_hangup(wishes.to_reload)
    host = socket.gethostname()
    worker = arguments.worker or _own_name(config, f"{host}-{arguments.number}", wishes.stop)
    setup.set_up(config.log.level, "classifier", worker=worker)
    identity = Identity(worker, host, __version__, started_at)
    phases.end("start")
    sys.exit(_run(config, identity, wishes, phases, arguments))


def _own_name(config: Config, default: str, stop: threading.Event) -> str:
    """Name a worker that was given no name; the fleet of EC2 knows it by its instance."""
    if not config.classifier.ec2_instance:
        return default
    names: list[str] = []
    metadata = Metadata(endpoint(os.environ), time.monotonic)
    ask: Callable[[], None] = lambda: names.append(instance_id(metadata))  # noqa: E731
    if not startup.verify((ask,), stop, log, Random()):
        sys.exit(process.EXIT_OK)
    return names[0]


def _note_signal(name: str, wishes: SignalEvents) -> None:
    log.info("stopping", extra={"signal": name})
    wishes.to_stop()


def _run(
    config: Config,
    identity: Identity,
    wishes: SignalEvents,
    phases: StartupTimer,
    arguments: argparse.Namespace,
) -> int:
    clients, random, stop = Clients(config), Random(), wishes.stop
    checks = (clients.uploads.verify, clients.results.verify, clients.requests)
    if not startup.verify(checks, stop, log, random):
        return process.EXIT_OK
    seconds = config.classifier.report_seconds
    reporter = Reporter(clients.results, identity, None, seconds, time.time)
    reporter.write("booting", _NOTHING)
    phases.end("aws")
    try:
        model = _model(config, stop, random, phases)
    except BadModel as error:
        log.error("model cannot be used", extra={"reason": str(error)})
        return process.EXIT_CONFIG
    if model is None:
        reporter.write("stopped", _NOTHING)
        return process.EXIT_OK
    events, watchdog = Events(), systemd.watchdog_seconds(os.environ)
    loops = Watchdog(time.monotonic, sidecars.allowed_seconds(config, watchdog or 0.0))
    name, path = identity.worker, arguments.config
    worker = Worker(name, config, path, clients, model, events, loops, random)
    pipeline = worker.pipeline(crash(log))
    _tell_ready(worker, reporter, phases)
    notifier = Notifier(
        log, loops, watchdog, sidecars.status(pipeline, reporter, model), crash(log)
    )
    notifier.ready()
    if arguments.once:
        return _answer_once(pipeline, reporter, config.classifier.max_processing_seconds)
    return _attend(worker, pipeline, reporter, notifier, wishes)


def _model(config: Config, stop: Event, random: Random, phases: StartupTimer) -> "Inference | None":
    """Load the model, None when a stop came first; raises BadModel."""
    models: list[Inference] = []
    load: Callable[[], None] = lambda: models.append(open_model(config, os.environ, phases))  # noqa: E731
    systemd.notify("STATUS=loading the model")
    # The scaler gives a start no more time than this, so systemd need not either.
    there = startup.verify((load,), stop, log, random, _boot_limit_seconds(config))
    return models[0] if there and not stop.is_set() else None


def _boot_limit_seconds(config: Config) -> float:
    kind = "ec2" if config.classifier.ec2_instance else config.scaler.fleet
    return FLEET_TIMES[kind].boot_limit_seconds


def _tell_ready(worker: Worker, reporter: Reporter, phases: StartupTimer) -> None:
    model = worker.model.info
    setup.set_up(worker.config.log.level, "classifier", worker=worker.name, model=model.name)
    reporter.model = model
    reporter.boot_seconds, reporter.boot_phases = phases.total(), phases.seconds
    log.info(
        "ready",
        extra={"worker": worker.name, "model": model.name}
        | {"fingerprint": model.fingerprint, "boot_seconds": reporter.boot_seconds}
        | {f"{name}_seconds": seconds for name, seconds in phases.seconds.items()},
    )


def _attend(
    worker: Worker, pipeline: Pipeline, reporter: Reporter, notifier: Notifier, wishes: SignalEvents
) -> int:
    config, events = worker.config, worker.events
    orphan = sidecars.orphan(config, worker.clients.results, pipeline, events)
    lookouts = sidecars.lookouts(config, reporter, events, orphan)
    served = _Served(pipeline, reporter, Tuned(pipeline.intake, reporter, orphan), notifier)
    with sidecars.metrics(config, worker.model, pipeline, reporter, events):
        return _serve(config, worker.path, served, lookouts, wishes)


def _answer_once(pipeline: Pipeline, reporter: Reporter, seconds: float) -> int:
    pipeline.start()
    return _finish(pipeline, reporter, hurry=False, seconds=seconds)


@dataclass(frozen=True, slots=True)
class _Served:
    """What works until the stop, and what a reload changes of it."""

    pipeline: Pipeline
    reporter: Reporter
    tuned: Tuned
    notifier: Notifier


def _serve(
    config: Config,
    path: Path | None,
    served: _Served,
    lookouts: Sequence[DrainTrigger],
    wishes: SignalEvents,
) -> int:
    """Work until the stop. This thread calls nothing that may hang, so a stop is prompt."""
    power_off = partial(systemd.power_off, os.environ)
    attendant = DrainController(served.pipeline, served.reporter, lookouts, power_off)
    served.pipeline.start()
    talk = run_in_thread("drain", partial(attendant.run, wishes), crash(log))
    while not wishes.wait(threading.TIMEOUT_MAX):
        if wishes.take_reload():
            config = _reload(config, path, served.tuned)
    seconds = config.classifier.stop_seconds
    served.notifier.stopping(seconds + _STOP_MARGIN_SECONDS)
    talk.join(1.0)  # a report that is under way must not overtake the last one
    status = _finish(served.pipeline, served.reporter, hurry=True, seconds=seconds)
    return 1 if attendant.failed else status


def _reload(config: Config, path: Path | None, tuned: Tuned) -> Config:
    with startup.reloading():
        config = startup.reloaded(path, config, REACH, log)
        tuned.adopt(config)
    return config


def _finish(pipeline: Pipeline, reporter: Reporter, hurry: bool, seconds: float) -> int:
    clean = pipeline.finish(hurry, time.monotonic() + seconds)
    tally = pipeline.tally()
    last_report = partial(reporter.write, "stopped", tally)
    run_bounded("last report", last_report, _REPORT_SECONDS, crash(log))
    log.info("stopped", extra={"handled": tally.handled, "left_in_hand": tally.in_flight})
    return process.EXIT_OK if clean else 1


if __name__ == "__main__":
    main()
