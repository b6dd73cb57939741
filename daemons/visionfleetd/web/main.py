"""The web daemon: takes images over HTTP, hands them to the fleet and answers with the results."""

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

import uvloop
from tornado.netutil import bind_sockets

from visionfleet.aws.clients import client_factory
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Outbox, Queue
from visionfleet.config import Config
from visionfleet.config.constraints import MODEL_TRUST_SECONDS, RECEIVE_MARGIN_SECONDS
from visionfleet.config.web import WebSection
from visionfleet.contract import job_ids, names
from visionfleet.contract.messages import Reply
from visionfleet.errors import VisionfleetError
from visionfleet.host import process, systemd
from visionfleet.host.metrics_server import serve
from visionfleet.host.systemd import Notifier
from visionfleet.host.threads import crash, run_bounded
from visionfleet.host.watchdog import Watchdog, period_seconds
from visionfleet.web.http.auth import Access
from visionfleet.web.http.server import Server
from visionfleet.web.jobs.active_model import ActiveModel
from visionfleet.web.jobs.batch_sender import BatchSender
from visionfleet.web.jobs.reply_queue import ReplyPoller, ReplyQueue
from visionfleet.web.jobs.service import Door, Service
from visionfleet.web.jobs.submission import Submissions
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.load.readiness import Readiness
from visionfleet.web.routes.application import application
from visionfleetd import startup
from visionfleetd.web import reload
from visionfleetd.web.reload import REACH, Tuned
from visionfleetd.web.security import Entrance, entrance, renew
from visionfleetd.web.status import Board, allowed_seconds

log = logging.getLogger("web")

# Calls to AWS at the same time: each is mostly a wait, and 32 put some hundreds of images a second.
THREADS = 32
# A silent reply queue is noticed this long after its long poll should have come back.
POLL_GRACE_SECONDS = 15
BACKLOG = 1024
# Processes of one host that may share a port; each has a port of its own for its metrics.
MOST_PROCESSES = 64
# Open files that are not connections of clients: AWS, logs, libraries.
OTHER_FILES = 400
# At a stop an idle connection may bring one more request, which is answered with its close.
LINGER_SECONDS = 3.0
# At a stop: to write the last answers, for a parked poll to come back, and to remove the queue.
LAST_ANSWERS_SECONDS = 2.0
POLLER_SECONDS = 1.0
REMOVE_SECONDS = 3.0
# What a stop may take beyond web.unready_seconds and web.stop_seconds: all of these, and to end.
STOP_MARGIN_SECONDS = 10.0


class _Signals:
    """What signals ask for: the end, told to threads by `stop`, and reloads. The loop waits here.

    The methods `end` and `reload` are called between any two instructions of the main thread.
    """

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._reload = False
        self._wake: Callable[[], object] = lambda: None

    def end(self, name: str) -> None:
        """Note the signal to end."""
        log.info("stopping", extra={"signal": name})
        self.stop.set()
        self._wake()

    def reload(self) -> None:
        """Note the signal to read the configuration again."""
        self._reload = True
        self._wake()

    async def wait(self) -> bool:
        """Wait in the loop for a signal; True is the end, False a reload."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        if not (self.stop.is_set() or self._reload):
            await woken.wait()
        self._wake = lambda: None
        self._reload = False
        return self.stop.is_set()


class _Clients:
    """The AWS clients of this process, and what is built on them."""

    def __init__(self, config: Config) -> None:
        door = client_factory(config.aws)
        s3 = door.client("s3", connections=THREADS)
        self._sqs = door.client("sqs", connections=THREADS + 1)
        parked = door.client(
            "sqs",
            connections=1,
            read_timeout_seconds=config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS,
        )
        direct = door.direct_s3(s3, config.storage.input_bucket, THREADS)
        self.uploads = Store(s3, config.storage.input_bucket, direct)
        self.results = Store(s3, config.storage.output_bucket)
        self._name = names.requests_queue(config.name)
        # SQS refuses the name of a deleted queue for 60 s, so each life has a name of its own.
        life = f"{os.getpid()}-{os.urandom(4).hex()}"
        replies = names.replies_queue(config.name, socket.gethostname(), life)
        self.replies = ReplyQueue(self._sqs, parked, replies, time.time)

    def find_requests(self) -> None:
        """Find the queue of requests; raises NotFound and TryLater."""
        self._requests = Queue(self._sqs, self._name)

    def desk(self, config: Config) -> Submissions:
        """Make the way into the fleet, once the queue is found."""
        return Submissions(
            uploads=self.uploads,
            results=self.results,
            requests=BatchSender(partial(Outbox(self._sqs).send_all, self._name)),
            counts=self._requests.counts,
            limits=reload.limits(config),
            reply_to=self.replies.name,
            expire_seconds=config.web.expire_seconds,
            now=time.time,
            target_seconds=reload.UPLOAD_EXPIRE_SECONDS,
            cache=reload.cache(config, self.results),
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    arguments = startup.parser("web", __doc__ or "").parse_args(argv)
    config = startup.configuration(arguments)
    # It would write a line for each malformed body, which the client is told of anyway.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    signals = _Signals()
    process.stop_on_signals(signals.end)
    process.reload_on_hangup(signals.reload)
    _leave(_run(config, arguments.config, signals))


def _leave(status: int) -> NoReturn:
    """End without the threads that are parked in calls to AWS, which may last a minute yet."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _run(config: Config, path: Path | None, signals: _Signals) -> int:
    way_in = entrance(config.web)
    clients, random = _Clients(config), Random()
    checks = (clients.uploads.verify, clients.results.verify, clients.find_requests)
    if not startup.verify((*checks, clients.replies.make), signals.stop, log, random):
        return process.EXIT_OK
    web = config.web
    try:
        sockets = bind_sockets(web.port, web.address, backlog=BACKLOG, reuse_port=web.share_port)
    except OSError as error:
        where = f"{web.address}:{web.port}"
        log.error("cannot listen", extra={"address": where, "reason": str(error)})
        _remove(clients.replies)
        return 1
    uvloop.run(_serve(_Start(config, path, clients, sockets, way_in), signals, random))
    run_bounded("last call", partial(_remove, clients.replies), REMOVE_SECONDS, crash(log))
    log.info("stopped")
    return process.EXIT_OK


@dataclass(frozen=True, slots=True)
class _Start:
    """What is there when the loop begins."""

    config: Config
    path: Path | None
    clients: _Clients
    sockets: list[socket.socket]
    way_in: Entrance


async def _serve(start: _Start, signals: _Signals, random: Random) -> None:
    config, clients, way_in = start.config, start.clients, start.way_in
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="aws")
    service = _service(config, clients, pool, way_in.access)
    watchdog = systemd.watchdog_seconds(os.environ)
    loops = Watchdog(time.monotonic, allowed_seconds(config, watchdog or 0.0))
    poller = _poller(config, clients.replies, service, random, loops)
    most = process.allow_open_files() - OTHER_FILES
    http = Server(application(service), most, reload.PATIENCE, way_in.tls)
    metrics_port = _metrics_port(service, config)
    poller.start()
    http.add_sockets(start.sockets)
    service.vitals.started = True
    address = f"{config.web.address}:{config.web.port}"
    fields: dict[str, object] = {"address": address, "replies": clients.replies.name}
    if metrics_port is not None:
        fields["metrics_port"] = metrics_port
    log.info("ready", extra=fields)
    board = Board(service, loops)
    board.turn()
    notifier = Notifier(log, loops, watchdog, lambda: board.status, crash(log))
    notifier.ready()
    turning = asyncio.ensure_future(board.turn_on(period_seconds(watchdog)))
    while not await signals.wait():
        config = _reload(config, start, Tuned(service))
    web = config.web
    notifier.stopping(web.unready_seconds + web.stop_seconds + STOP_MARGIN_SECONDS)
    await _drain(http, service, web)
    turning.cancel()
    poller.stop(POLLER_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)


def _metrics_port(service: Service, config: Config) -> int | None:
    port, address = config.web.metrics_port, config.metrics.address
    if not port:
        return None
    return serve(service.meters.registry, address, port, MOST_PROCESSES).port


def _reload(config: Config, start: _Start, tuned: Tuned) -> Config:
    with startup.reloading():
        again = partial(renew, start.way_in.tls, config.web)
        config = startup.reloaded(start.path, config, REACH, log, again)
        tuned.adopt(config)
    return config


async def _drain(http: Server, service: Service, web: WebSection) -> None:
    """Be unready, take no new connections, answer what waits, tell the rest their job, close."""
    service.vitals.stopping = True
    await asyncio.sleep(web.unready_seconds)
    await http.leave()
    end = time.monotonic() + web.stop_seconds
    if await service.under_way.none_left(web.stop_seconds):
        await http.none_open(min(LINGER_SECONDS, web.stop_seconds))
    if not await service.under_way.none_left(max(0.0, end - time.monotonic())):
        log.info("still unanswered", extra={"requests": len(service.under_way)})
        service.waiting.close()
        await service.under_way.none_left(LAST_ANSWERS_SECONDS)
    await http.close_all_connections()


def _remove(replies: ReplyQueue) -> None:
    """Remove the reply queue; one that stays is found by its old heartbeat."""
    try:
        replies.remove()
    except VisionfleetError as error:
        fields = {"queue": replies.name, "reason": str(error)}
        log.warning("reply queue not removed", extra=fields)


def _service(
    config: Config, clients: _Clients, pool: ThreadPoolExecutor, access: Access | None
) -> Service:
    web = config.web
    held, priors = MemoryBudget(web.max_held_bytes), reload.priors(config)
    door = Door(held, reload.room(config), priors, reload.rules(config))
    vitals = Readiness(config.queue.wait_seconds + POLL_GRACE_SECONDS, time.monotonic)
    sightings = ActiveModel(MODEL_TRUST_SECONDS)
    clock, desk = time.monotonic, clients.desk(config)
    return Service(desk, pool, vitals, _new_job, clock, sightings, door, access)


def _poller(
    config: Config, replies: ReplyQueue, service: Service, random: Random, loops: Watchdog
) -> ReplyPoller:
    loop = asyncio.get_running_loop()

    def deliver(reply: Reply) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(service.deliver, reply)

    wait, polled = config.queue.wait_seconds, service.vitals.polled
    awaited = service.waiting.awaited
    return ReplyPoller(replies, wait, deliver, polled, crash(log), random, awaited, loops)


def _new_job() -> str:
    return job_ids.new_job_id(time.time(), os.urandom(job_ids.RANDOM_BYTES))


if __name__ == "__main__":
    main()
