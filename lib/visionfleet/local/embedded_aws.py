"""The embedded AWS: moto in memory, behind a WSGI server with keep-alive.

It has no access control, so it is for loopback only.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from cheroot import wsgi
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from visionfleet.host.process import LOOK_UP_SECONDS
from visionfleet.local.moto_patches import (
    CONNECTION,
    WsgiApplication,
    one_at_a_time,
    patched_moto,
    whole_body,
)
from visionfleet.web.http.targets import is_called, names_of

logger = logging.getLogger("visionfleet.local.embedded_aws")

# Each long poll occupies a thread: 19 classifiers, web processes and scalers hold about 30.
THREADS = 128

# Clients keep idle connections: closing one just when it is used again would reset it.
IDLE_CONNECTION_SECONDS = 3600

STOP_SECONDS = 1


class Gateway(wsgi.Gateway_10):
    def __init__(self, req: Any) -> None:
        super().__init__(req)
        self.env[CONNECTION] = req.conn.socket


class EmbeddedServer(wsgi.Server):
    keep_alive_conn_limit = 10_000

    def __init__(self, host: str, port: int, application: WsgiApplication) -> None:
        super().__init__(
            (host, port),
            application,
            numthreads=THREADS,
            max=THREADS,
            request_queue_size=256,
            timeout=IDLE_CONNECTION_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        self.gateway = Gateway

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # A disconnected client (INFO) is not worth a line.
        logger.log(level if level > logging.INFO else logging.DEBUG, msg, exc_info=traceback)


def serve(
    host: str, port: int, stop: threading.Event, prepare: Callable[[str], None] | None = None
) -> None:
    """Serve until stop is set, first only for `prepare`, at a URL of its own; raises OSError."""
    with patched_moto(stop) as lock:
        # Determines the service of each request.
        shared = no_web_pages(one_at_a_time(DomainDispatcherApplication(create_backend_app), lock))
        if prepare is not None:
            with _serving("127.0.0.1", 0, shared, threading.Event()) as url:
                prepare(url)
        with _serving(host, port, shared, stop) as url:
            logger.info(
                "embedded AWS at %s: "
                "everything is kept in memory only and is forgotten when it stops",
                url,
            )
            while not stop.wait(LOOK_UP_SECONDS):  # as SignalEvents.wait
                pass
        logger.info("embedded AWS stopped, everything in it is forgotten")


def no_web_pages(application: WsgiApplication) -> WsgiApplication:
    """Refuse requests of pages in this machine's browsers: there is no access control."""
    names = names_of(True, (), socket.gethostname())

    def refusing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        site = environ.get("HTTP_SEC_FETCH_SITE", "none")
        of_page = "HTTP_ORIGIN" in environ or site not in {"none", "same-origin"}
        if not of_page and is_called(environ.get("HTTP_HOST", ""), names):
            return application(environ, start_response)
        whole_body(environ)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"the embedded AWS answers no web pages, and only under a name of this machine\n"]

    return refusing


@contextmanager
def _serving(
    host: str, port: int, application: WsgiApplication, stop: threading.Event
) -> Iterator[str]:
    server = EmbeddedServer(host, port, application)
    server.prepare()

    def accept() -> None:
        try:
            server.serve()
        finally:
            stop.set()

    thread = threading.Thread(target=accept, name="accept")
    thread.start()
    try:
        yield "http://{}:{}".format(*server.bind_addr)
    finally:
        server.stop()
        thread.join()
