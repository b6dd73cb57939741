"""The classifier daemon: loads the model, then answers requests until it is told to stop."""

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from visionfleet import __version__, cores, images, messages, runtime
from visionfleet.config import Config
from visionfleet.config.rules import RECEIVE_MARGIN_SECONDS
from visionfleet.connections import access
from visionfleet.errors import BadModel
from visionfleet.interruption import Interruptions, Metadata, endpoint, instance_id
from visionfleet.model.opening import open_model
from visionfleet.phases import Phases
from visionfleet.pipeline.attendant import Attendant
from visionfleet.pipeline.events import Events
from visionfleet.pipeline.intake import Intake
from visionfleet.pipeline.isolation import Isolation
from visionfleet.pipeline.jobs import Author
from visionfleet.pipeline.leases import LeaseKeeper
from visionfleet.pipeline.lookouts import Lookout, Orphan, interruption, scaler_wish
from visionfleet.pipeline.outcome import Outcome
from visionfleet.pipeline.pipeline import Limits, Pipeline, Tally
from visionfleet.pipeline.reporting import Identity, Reporter
from visionfleet.queues import Outbox, Queue
from visionfleet.store import Store
from visionfleetd import startup

if TYPE_CHECKING:
    from visionfleet.model.inference import Inference

log = logging.getLogger("classifier")

_REPORT_SECONDS = 2.0  # for the last report of a stop
_COMMAND_SECONDS = 60.0

_NOTHING = Tally(in_flight=0, handled=0, service_seconds=None)


class _Clients:
    """The AWS clients of one worker, and what is built on them."""

    def __init__(self, config: Config) -> None:
        door = access(config.aws)
        threads = config.classifier.fetch_threads
        s3 = door.client("s3", connections=threads + 8)
        sqs = door.client("sqs", connections=threads + 8)
        parked = door.client(
            "sqs",
            connections=2,
            read_timeout_seconds=config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS,
        )
        self.uploads = Store(s3, config.storage.input_bucket)
        self.results = Store(s3, config.storage.output_bucket)
        self.outbox = Outbox(sqs)
        self._sqs, self._parked = sqs, parked
        self._name = messages.requests_queue(config.name)
        self._requests: Queue | None = None

    def requests(self) -> Queue:
        """Find the queue of requests, once; raises NotFound and TryLater."""
        if self._requests is None:
            self._requests = Queue(self._sqs, self._name, self._parked)
        return self._requests


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    started_at = runtime.started_at(time.time())
    phases = Phases(started_at, time.time)
    parser = startup.parser("classifier", __doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--worker", help="name; default: host and process, or instance")
    parser.add_argument("--once", action="store_true", help="answer what waits now, then exit")
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    stop = threading.Event()
    runtime.stop_on_signals(lambda name: _note_signal(name, stop))
    host = socket.gethostname()
    worker = arguments.worker or _own_name(config, host, stop)
    identity = Identity(worker, host, __version__, started_at)
    phases.end("start")
    sys.exit(_run(config, identity, stop, phases, arguments))


def _own_name(config: Config, host: str, stop: threading.Event) -> str:
    """Name a worker that was given no name; the fleet of EC2 knows it by its instance."""
    if not config.classifier.named_by_instance:
        return f"{host}-{os.getpid()}"
    names: list[str] = []
    metadata = Metadata(endpoint(os.environ), time.monotonic)
    ask: Callable[[], None] = lambda: names.append(instance_id(metadata))  # noqa: E731
    if not startup.verify((ask,), stop, log, Random()):
        sys.exit(runtime.EXIT_OK)
    return names[0]


def _note_signal(name: str, stop: threading.Event) -> None:
    log.info("stopping", extra={"signal": name})
    stop.set()


def _run(
    config: Config,
    identity: Identity,
    stop: threading.Event,
    phases: Phases,
    arguments: argparse.Namespace,
) -> int:
    clients, random = _Clients(config), Random()
    checks = (clients.uploads.verify, clients.results.verify, clients.requests)
    if not startup.verify(checks, stop, log, random):
        return runtime.EXIT_OK
    reporter = Reporter(
        clients.results, identity, None, config.classifier.report_seconds, time.time
    )
    reporter.write("booting", _NOTHING)
    phases.end("aws")
    models: list[Inference] = []
    load: Callable[[], None] = lambda: models.append(open_model(config, os.environ, phases))  # noqa: E731
    try:
        there = startup.verify((load,), stop, log, random)
    except BadModel as error:
        log.error("model cannot be used", extra={"reason": str(error)})
        return runtime.EXIT_CONFIG
    if stop.is_set() or not there:
        reporter.write("stopped", _NOTHING)
        return runtime.EXIT_OK
    model = models[0]
    reporter.model = model.info
    reporter.boot_seconds, reporter.boot_phases = phases.total(), phases.seconds
    isolation = _isolation(arguments, config.classifier.isolated_seconds)
    events = Events()
    pipeline = _build(config, clients, model, identity.worker, isolation, events, random)
    log.info(
        "ready",
        extra={"worker": identity.worker, "model": model.info.name}
        | {"fingerprint": model.info.fingerprint, "boot_seconds": reporter.boot_seconds}
        | {f"{name}_seconds": seconds for name, seconds in phases.seconds.items()},
    )
    runtime.notify("READY=1")
    if arguments.once:
        return _answer_once(pipeline, reporter, config.classifier.max_processing_seconds)
    lookouts = _lookouts(config, clients.results, pipeline, reporter, events)
    with _metrics(config, model, pipeline, reporter, events):
        return _serve(config, pipeline, reporter, lookouts, stop)


def _isolation(arguments: argparse.Namespace, limit_seconds: float) -> Isolation:
    named = ("--config", str(arguments.config)) if arguments.config else ()
    return Isolation((sys.executable, "-m", "visionfleetd.isolated", *named), limit_seconds)


def _build(
    config: Config,
    clients: _Clients,
    model: "Inference",
    worker: str,
    isolation: Isolation,
    events: Events,
    random: Random,
) -> Pipeline:
    settings, requests = config.classifier, clients.requests()
    keeper = LeaseKeeper(
        requests,
        config.queue.visibility_timeout_seconds,
        settings.max_processing_seconds,
        time.monotonic,
        events,
    )
    author = Author(worker, model.info, model.unknown_below)
    outcome = Outcome(
        requests=requests,
        outbox=clients.outbox,
        results=clients.results,
        keeper=keeper,
        by_name=config.results.by_name,
        random=random,
        now=time.time,
        events=events,
    )
    return Pipeline(
        requests=requests,
        dead=messages.dead_queue(config.name),
        model=model,
        intake=_intake(config, clients, model, author, isolation),
        outcome=outcome,
        author=author,
        keeper=keeper,
        limits=Limits(
            settings.batch_size,
            settings.prefetch,
            settings.fetch_threads,
            config.queue.wait_seconds,
        ),
        random=random,
        crashed=_crash,
        events=events,
    )


def _intake(
    config: Config, clients: _Clients, model: "Inference", author: Author, isolation: Isolation
) -> Intake:
    limits = images.Limits(config.images.max_bytes, config.images.max_pixels, config.images.formats)
    return Intake(
        uploads=clients.uploads,
        results=clients.results,
        limits=limits,
        preprocessing=model.preprocessing,
        author=author,
        isolation=isolation,
        max_receives=config.queue.max_receives,
        now=time.time,
        clock=time.monotonic,
    )


def _lookouts(
    config: Config, results: Store, pipeline: Pipeline, reporter: Reporter, events: Events
) -> list[Lookout]:
    settings = config.classifier
    found = [scaler_wish(reporter, settings.drain_check_seconds)]
    if settings.interruption_notices:  # first: S3 may be slow, and two minutes are short
        metadata = Metadata(endpoint(os.environ), time.monotonic)
        notices = Interruptions(metadata, time.monotonic)
        found.insert(0, interruption(notices, reporter, events))
    if settings.self_shutdown:
        limit = settings.idle_shutdown_seconds
        in_flight = lambda: pipeline.tally().in_flight  # noqa: E731
        orphan = Orphan(results, limit, in_flight, events.receives, time.time, time.monotonic)
        found.append(orphan.lookout())
    return found


def _metrics(
    config: Config, model: "Inference", pipeline: Pipeline, reporter: Reporter, events: Events
) -> AbstractContextManager[object]:
    settings = config.classifier
    if not settings.metrics_port:
        return nullcontext()
    from visionfleet import metrics  # most workers of one machine have none, and start sooner

    threads = config.model.threads or cores.granted()
    facts = metrics.Facts(
        worker={"worker": reporter.identity.worker, "host": reporter.identity.host}
        | {"version": reporter.identity.version},
        model={"name": model.info.name, "fingerprint": model.info.fingerprint}
        | {"precision": model.precision.name, "threads": str(threads)},
        boot_seconds=reporter.boot_seconds or 0.0,
    )
    numbers = metrics.Numbers(events, lambda: pipeline.tally().in_flight, facts)
    port = metrics.port_of(settings.metrics_port, reporter.identity.worker)
    try:
        return closing(metrics.Server(numbers, settings.metrics_address, port))
    except OSError as error:  # to classify without them is better than not to
        log.error("no metrics", extra={"port": port, "reason": str(error)})
        return nullcontext()


def _answer_once(pipeline: Pipeline, reporter: Reporter, seconds: float) -> int:
    pipeline.start()
    return _finish(pipeline, reporter, hurry=False, seconds=seconds)


def _serve(
    config: Config,
    pipeline: Pipeline,
    reporter: Reporter,
    lookouts: Sequence[Lookout],
    stop: threading.Event,
) -> int:
    """Work until `stop` is set. This thread calls nothing that may hang, so a stop is prompt."""
    settings = config.classifier
    command = partial(runtime.run_command, settings.shutdown_command, _COMMAND_SECONDS)
    attendant = Attendant(pipeline, reporter, lookouts, command)
    pipeline.start()
    talk = _beside(partial(attendant.run, stop), "attendant")
    stop.wait()
    runtime.notify("STOPPING=1")
    talk.join(1.0)  # a report that is under way must not overtake the last one
    status = _finish(pipeline, reporter, hurry=True, seconds=settings.stop_seconds)
    return 1 if attendant.failed else status


def _finish(pipeline: Pipeline, reporter: Reporter, hurry: bool, seconds: float) -> int:
    clean = pipeline.finish(hurry, time.monotonic() + seconds)
    tally = pipeline.tally()
    _beside(partial(reporter.write, "stopped", tally), "last report").join(_REPORT_SECONDS)
    log.info("stopped", extra={"handled": tally.handled, "left_in_hand": tally.in_flight})
    return runtime.EXIT_OK if clean else 1


def _beside(work: Callable[[], None], name: str) -> threading.Thread:
    """Run work on a thread that does not hold up the end of the process."""

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # what nobody expected ends the process
            _crash(error)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def _crash(error: BaseException) -> None:
    """End the process at once: its messages come back to the queue by themselves."""
    log.critical("crashed", exc_info=error)
    os._exit(70)  # EX_SOFTWARE


if __name__ == "__main__":
    main()
