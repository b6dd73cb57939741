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
from functools import partial
from random import Random
from typing import NoReturn

import uvloop
from tornado.netutil import bind_sockets

from visionfleet import ids, images, messages, runtime
from visionfleet.config import Config
from visionfleet.config.rules import RECEIVE_MARGIN_SECONDS
from visionfleet.config.schema import Web
from visionfleet.connections import access
from visionfleet.errors import VisionfleetError
from visionfleet.messages import Reply
from visionfleet.queues import Outbox, Queue
from visionfleet.store import Store
from visionfleet.web.access import Access
from visionfleet.web.admission import Room
from visionfleet.web.application import application
from visionfleet.web.cache import Cache
from visionfleet.web.desk import Desk
from visionfleet.web.handler import Rules
from visionfleet.web.holding import Held
from visionfleet.web.meters import serve
from visionfleet.web.models import Sightings
from visionfleet.web.outlook import Priors
from visionfleet.web.replies import ReplyPoller, ReplyQueue
from visionfleet.web.sending import SharedSender
from visionfleet.web.server import Patience, Server
from visionfleet.web.service import Door, Service
from visionfleet.web.vitals import Vitals
from visionfleetd import startup
from visionfleetd.entrance import Entrance, entrance

log = logging.getLogger("web")

# A silent reply queue is noticed this long after its long poll should have come back.
POLL_GRACE_SECONDS = 15
# What a multipart body has beside its file: boundaries, headers, other fields.
FORM_BYTES = 1 << 20
# A request with several files may be as large as this many of the largest.
ALL_FILES = 4
# A body up to this many times the largest image is read to its end before it is refused.
PATIENCE_FILES = 8
BACKLOG = 1024
# Open files that are not connections of clients: AWS, logs, libraries.
OTHER_FILES = 400
# At a stop an idle connection may bring one more request, which is answered with its close.
LINGER_SECONDS = 3.0
# At a stop: to write the last answers, for a parked poll to come back, and to remove the queue.
LAST_ANSWERS_SECONDS = 2.0
POLLER_SECONDS = 1.0
REMOVE_SECONDS = 3.0


class _Stop:
    """The stop event, for threads, and for the loop once that runs."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._wake: Callable[[], object] = lambda: None

    def set(self, name: str) -> None:
        """Note the signal; called between any two instructions of the main thread."""
        log.info("stopping", extra={"signal": name})
        self.event.set()
        self._wake()

    async def wait(self) -> None:
        """Wait in the loop."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        if not self.event.is_set():
            await woken.wait()
        self._wake = lambda: None


class _Clients:
    """The AWS clients of this process, and what is built on them."""

    def __init__(self, config: Config) -> None:
        door = access(config.aws)
        s3 = door.client("s3", connections=config.web.threads)
        self._sqs = door.client("sqs", connections=config.web.threads + 1)
        parked = door.client(
            "sqs",
            connections=1,
            read_timeout_seconds=config.queue.wait_seconds + RECEIVE_MARGIN_SECONDS,
        )
        self.uploads = Store(s3, config.storage.input_bucket)
        self.results = Store(s3, config.storage.output_bucket)
        self._name = messages.requests_queue(config.name)
        # SQS refuses the name of a deleted queue for 60 s, so each life has a name of its own.
        life = f"{os.getpid()}-{os.urandom(4).hex()}"
        replies = messages.replies_queue(config.name, socket.gethostname(), life)
        self.replies = ReplyQueue(self._sqs, parked, replies, time.time)

    def find_requests(self) -> None:
        """Find the queue of requests; raises NotFound and TryLater."""
        self._requests = Queue(self._sqs, self._name)

    def desk(self, config: Config) -> Desk:
        """Make the way into the fleet, once the queue is found."""
        limits = config.images
        return Desk(
            uploads=self.uploads,
            results=self.results,
            requests=SharedSender(partial(Outbox(self._sqs).send_all, self._name)),
            counts=self._requests.counts,
            limits=images.Limits(limits.max_bytes, limits.max_pixels, limits.formats),
            reply_to=self.replies.name,
            expire_seconds=config.web.expire_seconds,
            now=time.time,
            target_seconds=config.web.upload_expire_seconds,
            cache=self._cache(config) if config.web.cache else None,
        )

    def _cache(self, config: Config) -> Cache:
        return Cache(self.results, config.results.by_name, time.time)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    arguments = startup.parser("web", __doc__ or "").parse_args(argv)
    config = startup.configuration(arguments)
    # It would write a line for each malformed body, which the client is told of anyway.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    stop = _Stop()
    runtime.stop_on_signals(stop.set)
    _leave(_run(config, stop))


def _leave(status: int) -> NoReturn:
    """End without the threads that are parked in calls to AWS, which may last a minute yet."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _run(config: Config, stop: _Stop) -> int:
    way_in = entrance(config.web)
    clients, random = _Clients(config), Random()
    checks = (clients.uploads.verify, clients.results.verify, clients.find_requests)
    if not startup.verify((*checks, clients.replies.make), stop.event, log, random):
        return runtime.EXIT_OK
    web = config.web
    try:
        sockets = bind_sockets(web.port, web.address, backlog=BACKLOG, reuse_port=web.share_port)
    except OSError as error:
        where = f"{web.address}:{web.port}"
        log.error("cannot listen", extra={"address": where, "reason": str(error)})
        _remove(clients.replies)
        return 1
    uvloop.run(_serve(config, clients, sockets, stop, random, way_in))
    _remove_in_time(clients.replies)
    log.info("stopped")
    return runtime.EXIT_OK


async def _serve(
    config: Config,
    clients: _Clients,
    sockets: list[socket.socket],
    stop: _Stop,
    random: Random,
    way_in: Entrance,
) -> None:
    pool = ThreadPoolExecutor(config.web.threads, thread_name_prefix="aws")
    service = _service(config, clients, pool, way_in.access)
    poller = _poller(config, clients.replies, service, random)
    most = runtime.allow_open_files() - OTHER_FILES
    patience = Patience(config.web.header_seconds, config.web.body_bytes_per_second)
    http = Server(application(service, _rules(config)), most, patience, way_in.tls)
    metrics_port = serve(service.meters, config.web.metrics_address, config.web.metrics_port)
    poller.start()
    http.add_sockets(sockets)
    service.vitals.started = True
    address = f"{config.web.address}:{config.web.port}"
    fields: dict[str, object] = {"address": address, "replies": clients.replies.name}
    if metrics_port is not None:
        fields["metrics_port"] = metrics_port
    log.info("ready", extra=fields)
    runtime.notify("READY=1")
    await stop.wait()
    runtime.notify("STOPPING=1")
    await _drain(http, service, config.web)
    poller.stop(POLLER_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)


async def _drain(http: Server, service: Service, web: Web) -> None:
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


def _remove_in_time(replies: ReplyQueue) -> None:
    work = threading.Thread(target=_remove, args=(replies,), daemon=True)
    work.start()
    work.join(REMOVE_SECONDS)


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
    web, scaler = config.web, config.scaler
    door = Door(
        Held(web.max_held_bytes),
        Room(web.max_waiting, web.max_queue_seconds),
        Priors(scaler.service_seconds, scaler.boot_seconds),
    )
    vitals = Vitals(config.queue.wait_seconds + POLL_GRACE_SECONDS, time.monotonic)
    sightings = Sightings(web.cache_trust_seconds)
    clock, desk = time.monotonic, clients.desk(config)
    return Service(desk, pool, vitals, _new_job, clock, sightings, door, access)


def _poller(config: Config, replies: ReplyQueue, service: Service, random: Random) -> ReplyPoller:
    loop = asyncio.get_running_loop()

    def deliver(reply: Reply) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(service.deliver, reply)

    wait = config.queue.wait_seconds
    return ReplyPoller(
        replies, wait, deliver, service.vitals.polled, _crash, random, service.waiting.awaited
    )


def _rules(config: Config) -> Rules:
    web, largest = config.web, config.images.max_bytes
    return Rules(
        one_bytes=largest + FORM_BYTES,
        all_bytes=ALL_FILES * largest + FORM_BYTES,
        patience_bytes=PATIENCE_FILES * largest,
        max_files=web.max_files,
        plain_reply=web.plain_reply,
        trusted_proxies=web.trusted_proxies,
        plain_wait_seconds=web.plain_wait_seconds,
        wait_seconds=web.wait_seconds,
        max_wait_seconds=web.max_wait_seconds,
        model=config.model.name,
        cors_origins=web.cors_origins,
    )


def _new_job() -> str:
    return ids.new_job_id(time.time(), os.urandom(ids.RANDOM_BYTES))


def _crash(error: BaseException) -> None:
    """End the process at once, to be started again; what was accepted is in S3 and SQS."""
    log.critical("crashed", exc_info=error)
    os._exit(70)  # EX_SOFTWARE


if __name__ == "__main__":
    main()
