"""The scaler daemon: observes, decides, acts and reports, once per interval."""

import argparse
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.config import Config
from visionfleet.contract import names
from visionfleet.cost.prices import PriceTable
from visionfleet.errors import BadConfig, BadPrices, VisionfleetError
from visionfleet.host import process, systemd
from visionfleet.host.daemon_threads import crash, run_bounded, run_in_thread
from visionfleet.host.process import SignalEvents
from visionfleet.price_file import price_table
from visionfleet.scaler import dry_run
from visionfleet.scaler.autoscaler import Autoscaler
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.status_store import StatusStore
from visionfleet.scaler.worker_reports import WorkerReports
from visionfleetd import startup
from visionfleetd.scaler import wiring
from visionfleetd.scaler.loop import TickLoop

log = logging.getLogger("scaler")

TICK_SECONDS = 5.0  # to end a tick at a stop
RELEASE_SECONDS = 3.0  # to release the lease then
FLEET_SECONDS = 5.0  # to wait for a fleet that boots at the same time


def main(argv: Sequence[str] | None = None) -> None:
    parser = startup.parser("scaler", __doc__ or "")
    parser.add_argument("--once", action="store_true", help="run one tick, then exit")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be done, and do nothing"
    )
    arguments = parser.parse_args(argv)
    config = startup.configuration(arguments)
    sys.exit(_run(config, arguments, process.signal_events(log)))


def _run(config: Config, arguments: argparse.Namespace, signals: SignalEvents) -> int:
    prices = _prices(config)
    _find_fleet(wiring.lacking(config), signals)
    aws = client_factory(config.aws)
    # Unique for each process.
    name = f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
    sqs = startup.answered(partial(aws.client, "sqs"), signals.stop, log, Random())
    store = Store(aws.client("s3"), config.storage.output_bucket)
    policy = wiring.policy(config)
    fleet = wiring.fleet(config, aws, store, policy.maximum, name, signals.stop.is_set)
    find = partial(Queue, sqs, names.requests_queue(config.name))
    requests = startup.answered(find, signals.stop, log, Random())
    compared = partial(_compare, requests, config)
    startup.verify((store.verify, compared, *fleet.checks()), signals.stop, log, Random())
    observer = FleetObserver(requests, fleet, WorkerReports(store))
    if arguments.dry_run:
        wait = signals.wait if not arguments.once else lambda _: True
        status_store = StatusStore(store)
        return dry_run.run(observer, status_store, policy, aws.clock, wait, signals.wait)
    autoscaler = wiring.autoscaler(config, aws, sqs, store, observer, policy, prices, name)
    autoscaler.pause = signals.wait
    if arguments.once:
        return _once(autoscaler)
    return _serve(autoscaler, TickLoop(autoscaler, config, arguments.config, signals))


def _prices(config: Config) -> PriceTable:
    try:
        return price_table(config.scaler.prices_file)
    except BadPrices as error:
        startup.end_faulty(BadConfig((f"scaler.prices_file: {error}",)), "scaler")


def _find_fleet(lacking: Callable[[], str], signals: SignalEvents) -> None:
    """Exit if this machine lacks the fleet: systemd would wait for READY in vain."""
    until = time.monotonic() + FLEET_SECONDS
    while (fault := lacking()) and not signals.stop.is_set():
        if time.monotonic() >= until:
            startup.end_faulty(BadConfig((fault,)), "scaler")
        signals.wait(0.5)


def _compare(requests: Queue, config: Config) -> None:
    """Warn of a queue that was made by hand, or before the settings changed."""
    for difference in requests.differences(config.queue, config.name):
        reason = f"{difference}; `visionfleet provision` corrects it"
        log.warning("queue differs", extra={"queue": requests.name, "reason": reason})


def _serve(autoscaler: Autoscaler, loop: TickLoop) -> int:
    settings = loop.config.scaler
    address, registry = loop.config.metrics.address, autoscaler.metrics.registry
    with startup.metrics_served(registry, address, settings.metrics_port, log):
        fields = settings.model_dump(include={"fleet", "policy", "minimum"})
        log.info("ready", extra=fields | {"maximum": autoscaler.policy.maximum})
        systemd.notify("READY=1")
        ended = threading.Event()
        run_in_thread("stop", partial(_end_in_time, loop.signals.stop, ended), crash(log))
        try:
            loop.run()
        finally:
            ended.set()
            systemd.notify("STOPPING=1")
            _release_in_time(autoscaler.leader_lease)
    log.info("stopped")
    return process.EXIT_OK


def _end_in_time(stop: threading.Event, ended: threading.Event) -> None:
    """End the process if a call of the last tick hangs: as after a crash, the lease expires, and
    the launch ledger has every launch.
    """
    stop.wait()
    if not ended.wait(TICK_SECONDS):
        log.warning("stopped", extra={"reason": "a call of this tick hangs"})
        os._exit(process.EXIT_OK)


def _once(autoscaler: Autoscaler) -> int:
    """Tick once and release the lease; 1 if the tick failed or another scaler holds the lease."""
    try:
        autoscaler.tick()
    except VisionfleetError as error:
        log.error("tick failed", extra={"reason": str(error)})
        return 1
    finally:
        _release_in_time(autoscaler.leader_lease)
    return process.EXIT_OK if autoscaler.acting else 1


def _release_in_time(lease: LeaderLease) -> None:
    """Release the lease within a time limit, as S3 may hang."""

    def release() -> None:
        try:
            lease.release()
        except VisionfleetError as error:
            log.warning("lease not released, it expires", extra={"reason": str(error)})

    run_bounded("release lease", release, RELEASE_SECONDS, crash(log))


if __name__ == "__main__":
    main()
