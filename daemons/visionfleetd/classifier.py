"""The classifier daemon: loads the model, then answers requests until it is told to stop."""

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from random import Random

from visionfleet import __version__, cores, images, messages, runtime
from visionfleet.config import Config
from visionfleet.config.rules import RECEIVE_MARGIN_SECONDS
from visionfleet.connections import access
from visionfleet.errors import BadModel
from visionfleet.model.inference import Inference
from visionfleet.model.loading import load
from visionfleet.pipeline.intake import Intake
from visionfleet.pipeline.isolation import Isolation
from visionfleet.pipeline.jobs import Author
from visionfleet.pipeline.leases import LeaseKeeper
from visionfleet.pipeline.outcome import Outcome
from visionfleet.pipeline.pipeline import Limits, Pipeline, Tally
from visionfleet.pipeline.reporting import Identity, Reporter, watch
from visionfleet.queues import Outbox, Queue
from visionfleet.store import Store
from visionfleetd import startup

log = logging.getLogger("classifier")

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

    def requests(self) -> Queue:
        """Find the queue of requests; raises NotFound and TryLater."""
        return Queue(self._sqs, self._name, self._parked)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    started_at = runtime.started_at(time.time())
    parser = startup.parser("classifier", __doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--worker", help="name of this worker; default: host and process")
    parser.add_argument("--once", action="store_true", help="answer what waits now, then exit")
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    stop = threading.Event()
    runtime.stop_on_signals(lambda name: _note_signal(name, stop))
    host = socket.gethostname()
    worker = arguments.worker or f"{host}-{os.getpid()}"
    identity = Identity(worker, host, __version__, started_at)
    sys.exit(_run(config, identity, stop, arguments))


def _note_signal(name: str, stop: threading.Event) -> None:
    log.info("stopping", extra={"signal": name})
    stop.set()


def _run(
    config: Config, identity: Identity, stop: threading.Event, arguments: argparse.Namespace
) -> int:
    clients, random = _Clients(config), Random()
    checks = (clients.uploads.verify, clients.results.verify, clients.requests)
    if not startup.verify(checks, stop, log, random):
        return runtime.EXIT_OK
    reporter = Reporter(
        clients.results, identity, None, config.classifier.report_seconds, time.time
    )
    reporter.write("booting", _NOTHING)
    try:
        model = _load_model(config)
    except BadModel as error:
        log.error("model cannot be used", extra={"reason": str(error)})
        return runtime.EXIT_CONFIG
    if stop.is_set():
        return runtime.EXIT_OK
    reporter.model = model.info
    reporter.boot_seconds = time.time() - identity.started_at
    isolation = _isolation(arguments, config.classifier.isolated_seconds)
    pipeline = _build(config, clients, model, identity.worker, isolation, random)
    log.info(
        "ready",
        extra={"worker": identity.worker, "model": model.info.name}
        | {"fingerprint": model.info.fingerprint, "boot_seconds": reporter.boot_seconds},
    )
    runtime.notify("READY=1")
    return _serve(config, pipeline, reporter, stop, arguments.once)


def _isolation(arguments: argparse.Namespace, limit_seconds: float) -> Isolation:
    named = ("--config", str(arguments.config)) if arguments.config else ()
    return Isolation((sys.executable, "-m", "visionfleetd.isolated", *named), limit_seconds)


def _load_model(config: Config) -> Inference:
    threads = config.model.threads or cores.granted()
    return Inference(load(config.model), config.classifier.batch_size, threads)


def _build(
    config: Config,
    clients: _Clients,
    model: Inference,
    worker: str,
    isolation: Isolation,
    random: Random,
) -> Pipeline:
    settings, requests = config.classifier, clients.requests()
    keeper = LeaseKeeper(
        requests,
        config.queue.visibility_timeout_seconds,
        settings.max_processing_seconds,
        time.monotonic,
    )
    author = Author(worker, model.info)
    limits = images.Limits(config.images.max_bytes, config.images.max_pixels, config.images.formats)
    intake = Intake(
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
    outcome = Outcome(
        requests=requests,
        outbox=clients.outbox,
        results=clients.results,
        keeper=keeper,
        by_name=config.results.by_name,
        random=random,
        now=time.time,
    )
    return Pipeline(
        requests=requests,
        dead=messages.dead_queue(config.name),
        model=model,
        intake=intake,
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
    )


def _serve(
    config: Config, pipeline: Pipeline, reporter: Reporter, stop: threading.Event, once: bool
) -> int:
    settings = config.classifier
    pipeline.start()
    if once:
        return _finish(pipeline, reporter, hurry=False, seconds=settings.max_processing_seconds)
    drained = watch(
        stop,
        settings.drain_check_seconds,
        reporter.asked_to_drain,
        lambda: reporter.observe(_state(pipeline), pipeline.tally()),
    )
    if drained:
        log.info("draining", extra={"in_flight": pipeline.tally().in_flight})
        pipeline.close_intake()
        _wait_until_drained(pipeline, reporter, stop)
    runtime.notify("STOPPING=1")
    return _finish(pipeline, reporter, hurry=True, seconds=settings.stop_seconds)


def _wait_until_drained(pipeline: Pipeline, reporter: Reporter, stop: threading.Event) -> None:
    """Work off what is in hand, say so, and wait to be ended by who asked for it."""
    while not stop.wait(0.1):
        over = not pipeline.receiving() and pipeline.tally().in_flight == 0
        reporter.observe("drained" if over else "draining", pipeline.tally())


def _finish(pipeline: Pipeline, reporter: Reporter, hurry: bool, seconds: float) -> int:
    clean = pipeline.finish(hurry, time.monotonic() + seconds)
    tally = pipeline.tally()
    reporter.write("stopped", tally)
    log.info("stopped", extra={"handled": tally.handled, "left_in_hand": tally.in_flight})
    return runtime.EXIT_OK if clean else 1


def _state(pipeline: Pipeline) -> messages.WorkerState:
    return "busy" if pipeline.tally().in_flight else "idle"


def _crash(error: BaseException) -> None:
    """End the process at once: its messages come back to the queue by themselves."""
    log.critical("crashed", exc_info=error)
    os._exit(70)  # EX_SOFTWARE


if __name__ == "__main__":
    main()
