"""The Prometheus endpoint of the three daemons."""

import errno
import socket
from collections import OrderedDict
from contextlib import suppress
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)

# Each has a thread; a further one closes the oldest, as anybody may connect.
MAX_CONNECTIONS = 16


class Connection(WSGIRequestHandler):
    timeout = 10.0  # seconds, of each read and write

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], family: socket.AddressFamily) -> None:
        self.address_family = family
        self._lock = Lock()
        self._open: OrderedDict[socket.socket, None] = OrderedDict()  # oldest first
        super().__init__(address, Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = None
            while len(self._open) > MAX_CONNECTIONS:
                with suppress(OSError):  # just over
                    self._open.popitem(last=False)[0].shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What breaks off is the client's matter; it would be printed with a traceback."""


class MetricsServer:
    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        self.port = server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def serve(registry: CollectorRegistry, address: str, port: int, tries: int = 1) -> MetricsServer:
    """Serve on the first free one of `tries` ports from `port` on; raises OSError.

    One port per process: behind a shared one counters would seem to go backwards.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # an extra series for each counter
    ProcessCollector(registry=registry)
    for candidate in range(port, port + tries):
        try:
            return MetricsServer(_listening(registry, address, candidate))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == port + tries - 1:
                raise
    raise ValueError("no tries")


def _listening(registry: CollectorRegistry, address: str, port: int) -> WSGIServer:
    known = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, found = known[0]
    server = _Server((str(found[0]), port), family)
    server.set_app(make_wsgi_app(registry))
    return server
