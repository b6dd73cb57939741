"""The web daemon: takes images over HTTP, hands them to the fleet and answers with the results."""

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

import uvloop
from tornado.netutil import bind_sockets

from visionfleet.config import Config
from visionfleet.config.web import WebSection
from visionfleet.errors import BadConfig, VisionfleetError
from visionfleet.host import process, systemd
from visionfleet.host.daemon_threads import crash
from visionfleet.host.metrics_server import serve
from visionfleet.host.systemd import Notifier
from visionfleet.host.watchdog import Watchdog, period_seconds
from visionfleet.web.http.auth import Access
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.request_log import MalformedFilter
from visionfleet.web.http.server import WebServer
from visionfleet.web.jobs.reply_queue import ReplyPoller, ReplyQueue
from visionfleet.web.routes.application import application
from visionfleet.web.routes.context import Context
from visionfleetd import startup
from visionfleetd.web.reload import reload
from visionfleetd.web.security import secured
from visionfleetd.web.status import StatusLine, allowed_seconds
from visionfleetd.web.wiring import THREADS, WebClients, assembled

log = logging.getLogger("web")

BACKLOG = 1024
# The most processes of one host on a shared port; each has its own metrics port.
MAX_PROCESSES = 64
# File descriptors reserved for AWS, logs and libraries.
OTHER_FILES = 400
# At a stop idle connections may send one more request, answered with `Connection: close`.
LINGER_SECONDS = 3.0
# At a stop: to send the last responses, to end the long poll, and to remove the queue.
LAST_ANSWERS_SECONDS = 2.0
POLLER_SECONDS = 1.0
REMOVE_SECONDS = 3.0
# Beyond web.unready_seconds and web.stop_seconds: the sum of these, and to exit.
STOP_MARGIN_SECONDS = 10.0


class Signals:
    """TERM and INT stop the daemon, the second one at once; HUP reloads the configuration."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.stop = threading.Event()
        self._came = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._came.set)

    def _end(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            os._exit(process.EXIT_FORCED)
        log.info("stopping", extra={"signal": number.name})
        self.stop.set()
        self._came.set()

    async def wait(self) -> bool:
        """Wait for a signal; True for a stop, False for a reload."""
        await self._came.wait()
        self._came.clear()
        return self.stop.is_set()


def main(argv: Sequence[str] | None = None) -> None:
    arguments = startup.parser("web", __doc__ or "").parse_args(argv)
    config = startup.configuration(arguments)
    # It would log each malformed body, which is reported to the client anyway.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    logging.getLogger("tornado.general").addFilter(MalformedFilter(time.monotonic))
    access, tls = secured(config.web)
    if (files := process.allow_open_files()) <= OTHER_FILES:
        fault = f"the hard limit of open files is {files}, more than {OTHER_FILES} are needed"
        startup.end_faulty(BadConfig((fault,)), "web")
    _exit(uvloop.run(_run(config, arguments.config, access, tls)))


def _exit(status: int) -> NoReturn:
    """Exit without joining threads blocked in AWS calls, which may take another minute."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


async def _run(
    config: Config, path: Path | None, access: Access | None, tls: ssl.SSLContext | None
) -> int:
    loop = asyncio.get_running_loop()
    signals = Signals(loop)
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="aws")
    try:
        clients = await loop.run_in_executor(pool, _checked, config, signals.stop)
    except SystemExit as ended:
        return int(ended.code or 0)
    sockets = _bound(config.web)
    if sockets:
        context = assembled(config, clients, pool, access)
        await _serve(context, clients.replies, sockets, tls, signals, path)
    removed = loop.run_in_executor(ThreadPoolExecutor(1), _remove, clients.replies)
    with suppress(TimeoutError):
        await asyncio.wait_for(removed, REMOVE_SECONDS)
    pool.shutdown(wait=False, cancel_futures=True)
    if sockets:
        log.info("stopped")
    return process.EXIT_OK if sockets else 1


def _checked(config: Config, stop: threading.Event) -> WebClients:
    """Create and verify the AWS clients; raises SystemExit, also if a stop comes first."""
    random = Random()
    clients = startup.answered(partial(WebClients, config), stop, log, random)
    checks = (clients.uploads.verify, clients.results.verify, clients.find_requests)
    startup.verify((*checks, *clients.replies.steps()), stop, log, random)
    return clients


def _bound(web: WebSection) -> list[socket.socket]:
    # Tornado would take :: for IPv6 alone.
    address = None if web.address == "::" else web.address
    try:
        return bind_sockets(web.port, address, backlog=BACKLOG, reuse_port=web.share_port)
    except OSError as error:
        where = f"{web.address}:{web.port}"
        log.error("cannot listen", extra={"address": where, "reason": str(error)})
        return []


async def _serve(
    context: Context,
    replies: ReplyQueue,
    sockets: list[socket.socket],
    tls: ssl.SSLContext | None,
    signals: Signals,
    path: Path | None,
) -> None:
    watchdog_seconds = systemd.watchdog_seconds(os.environ)
    watchdog = Watchdog(time.monotonic, allowed_seconds(context.config, watchdog_seconds or 0.0))
    poller = _poller(context, replies, watchdog)
    public_path = context.config.web.public_path
    max_connections = process.allow_open_files() - OTHER_FILES
    knows = None if context.access is None else context.access.knows
    limiter = ConnectionLimiter(knows, time.monotonic, hides=tls is not None)
    http = WebServer(application(context), max_connections, limiter, tls, public_path)
    metrics_fields = _served_metrics(context)
    # Exclude permanent objects from garbage collection, which would block the loop for 0.1 s.
    gc.freeze()
    poller.start()
    http.add_sockets(sockets)
    context.readiness.started = True
    web = context.config.web
    address = {"address": f"{web.address}:{web.port}", "replies": replies.name}
    log.info("ready", extra={**address, **metrics_fields})
    line = StatusLine(context, watchdog)
    notifier = Notifier(log, watchdog, watchdog_seconds, lambda: line.text, crash(log))
    notifier.ready()
    writing = asyncio.ensure_future(line.write_on(period_seconds(watchdog_seconds)))
    while not await signals.wait():
        reload(context, tls, path)
    web = context.config.web
    notifier.stopping(web.unready_seconds + web.stop_seconds + STOP_MARGIN_SECONDS)
    await _drain(http, context)
    writing.cancel()
    poller.stop(POLLER_SECONDS)


def _served_metrics(context: Context) -> dict[str, object]:
    port, address = context.config.web.metrics_port, context.config.metrics.address
    if not port:
        return {}
    return {"metrics_port": serve(context.metrics.registry, address, port, MAX_PROCESSES).port}


def _poller(context: Context, replies: ReplyQueue, watchdog: Watchdog) -> ReplyPoller:
    service = context.service
    call_in_loop: Callable[..., object] = asyncio.get_running_loop().call_soon_threadsafe
    return ReplyPoller(
        queue=replies,
        wait_seconds=context.config.queue.wait_seconds,
        deliver=partial(call_in_loop, service.deliver),
        awaited=service.pending.replies,
        readiness=context.readiness,
        watchdog=watchdog,
        crashed=crash(log),
        random=Random(),
    )


async def _drain(http: WebServer, context: Context) -> None:
    """Become unready, stop listening, answer or send job ids, close."""
    web, requests = context.config.web, context.requests
    context.readiness.stopping = True
    await asyncio.sleep(web.unready_seconds)
    await http.leave()
    end = time.monotonic() + web.stop_seconds
    if await requests.none_left(web.stop_seconds):
        await http.connections.none_left(min(LINGER_SECONDS, web.stop_seconds))
    if not await requests.none_left(max(0.0, end - time.monotonic())):
        log.info("still unanswered", extra={"requests": len(requests.open)})
        context.service.pending.close()
        await requests.none_left(LAST_ANSWERS_SECONDS)
    await http.close_all_connections()


def _remove(replies: ReplyQueue) -> None:
    """Remove the reply queue; otherwise it is found by its old heartbeat."""
    try:
        replies.remove()
    except VisionfleetError as error:
        fields = {"queue": replies.name, "reason": str(error)}
        log.warning("reply queue not removed", extra=fields)


if __name__ == "__main__":
    main()
