"""A proxy in front of the embedded AWS whose S3 can stop answering."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler


class StallingProxy(CountingProxy):
    """While `stalled` is set, calls to S3 are taken and not answered; SQS goes on."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.RequestHandlerClass = StallingHandler
        self.stalled = threading.Event()
        self.over = threading.Event()
        self.held = 0


class StallingHandler(ForwardingHandler):
    """Holds a call until the server is over."""

    server: StallingProxy

    def stall(self) -> None:
        if self.server.stalled.is_set() and "X-Amz-Target" not in self.headers:
            self.server.held += 1
            self.server.over.wait()
            self.close_connection = True
        else:
            self.forward()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = stall  # noqa: N815


@contextmanager
def stalling_proxy(upstream: str) -> Iterator[StallingProxy]:
    """Run such a proxy for the length of a with block."""
    with StallingProxy(upstream) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
