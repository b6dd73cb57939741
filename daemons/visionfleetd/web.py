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

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from visionfleet import ids, images, messages, runtime
from visionfleet.config import Config
from visionfleet.config.rules import RECEIVE_MARGIN_SECONDS
from visionfleet.connections import access
from visionfleet.errors import VisionfleetError
from visionfleet.messages import Reply
from visionfleet.queues import Outbox, Queue
from visionfleet.store import Store
from visionfleet.web.application import application, server
from visionfleet.web.desk import Desk
from visionfleet.web.handler import Rules
from visionfleet.web.replies import ReplyPoller, ReplyQueue
from visionfleet.web.sending import SharedSender
from visionfleet.web.service import Service
from visionfleet.web.vitals import Vitals
from visionfleetd import startup

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
        replies = messages.replies_queue(config.name, socket.gethostname(), os.urandom(4).hex())
        self.replies = ReplyQueue(self._sqs, parked, replies, time.time)

    def find_requests(self) -> None:
        """Find the queue of requests; raises NotFound and TryLater."""
        Queue(self._sqs, self._name)

    def desk(self, config: Config) -> Desk:
        """Make the way into the fleet, once the queue is found."""
        limits = config.images
        return Desk(
            uploads=self.uploads,
            results=self.results,
            requests=SharedSender(partial(Outbox(self._sqs).send_all, self._name)),
            limits=images.Limits(limits.max_bytes, limits.max_pixels, limits.formats),
            reply_to=self.replies.name,
            expire_seconds=config.web.expire_seconds,
            now=time.time,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the daemon; the exit status says how it ended."""
    arguments = startup.parser("web", __doc__ or "").parse_args(argv)
    config = startup.configuration(arguments)
    stop = _Stop()
    runtime.stop_on_signals(stop.set)
    _leave(_run(config, stop))


def _leave(status: int) -> NoReturn:
    """End without the threads that are parked in calls to AWS, which may last a minute yet."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _run(config: Config, stop: _Stop) -> int:
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
    asyncio.run(_serve(config, clients, sockets, stop, random))
    _remove_in_time(clients.replies)
    log.info("stopped")
    return runtime.EXIT_OK


async def _serve(
    config: Config, clients: _Clients, sockets: list[socket.socket], stop: _Stop, random: Random
) -> None:
    pool = ThreadPoolExecutor(config.web.threads, thread_name_prefix="aws")
    service = _service(config, clients, pool)
    poller = _poller(config, clients.replies, service, random)
    http = server(application(service, _rules(config)))
    poller.start()
    http.add_sockets(sockets)
    service.vitals.started = True
    address = f"{config.web.address}:{config.web.port}"
    log.info("ready", extra={"address": address, "replies": clients.replies.name})
    runtime.notify("READY=1")
    await stop.wait()
    runtime.notify("STOPPING=1")
    await _drain(http, service, config.web.stop_seconds)
    poller.stop(POLLER_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)


async def _drain(http: HTTPServer, service: Service, seconds: float) -> None:
    """Take no new connections, answer what waits, then tell the rest their job, and close."""
    service.vitals.stopping = True
    http.stop()
    if not await service.under_way.none_left(seconds):
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


def _service(config: Config, clients: _Clients, pool: ThreadPoolExecutor) -> Service:
    vitals = Vitals(config.queue.wait_seconds + POLL_GRACE_SECONDS, time.monotonic)
    return Service(clients.desk(config), pool, vitals, _new_job, time.monotonic)


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
        plain_wait_seconds=web.plain_wait_seconds,
        wait_seconds=web.wait_seconds,
        max_wait_seconds=web.max_wait_seconds,
    )


def _new_job() -> str:
    return ids.new_job_id(time.time(), os.urandom(ids.RANDOM_BYTES))


def _crash(error: BaseException) -> None:
    """End the process at once, to be started again; what was accepted is in S3 and SQS."""
    log.critical("crashed", exc_info=error)
    os._exit(70)  # EX_SOFTWARE


if __name__ == "__main__":
    main()
