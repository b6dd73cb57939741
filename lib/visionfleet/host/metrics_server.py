"""The Prometheus endpoint of the three daemons."""

import errno
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)


class MetricsServer:
    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server, self._thread = server, thread
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
            return MetricsServer(*start_http_server(candidate, address, registry))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == port + tries - 1:
                raise
    raise ValueError("no tries")
