"""A proxy in front of the embedded AWS that counts the calls."""

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class CountingProxy(ThreadingHTTPServer):
    """Forwards every request; `calls` counts them by operation."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, handler: type[BaseHTTPRequestHandler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or ForwardingHandler)
        self.upstream = urlsplit(upstream).netloc
        self.calls: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class ForwardingHandler(BaseHTTPRequestHandler):
    """One kept-alive connection, with one of its own to the embedded AWS."""

    protocol_version = "HTTP/1.1"
    server: CountingProxy

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.upstream)

    def handle(self) -> None:
        with suppress(ConnectionError, http.client.HTTPException):  # either side went away
            super().handle()

    def finish(self) -> None:
        self.upstream.close()
        with suppress(ConnectionError):
            super().finish()

    def forward(self) -> None:
        """Answer one request; what comes between is for subclasses."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.calls[self.operation] += 1
        self.relay(*self.ask(body))

    @property
    def operation(self) -> str:
        """Name the call: `SQS ReceiveMessage`, `S3 PUT`, `S3 LIST`, `EC2`."""
        target = self.headers.get("X-Amz-Target")
        if "/ec2/aws4_request" in self.headers.get("Authorization", ""):
            return "EC2"
        if "list-type=2" in self.path:
            return "S3 LIST"
        return target.replace("AmazonSQS.", "SQS ") if target else f"S3 {self.command}"

    def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Forward the request and read the answer."""
        self.upstream.request(self.command, self.path, body, dict(self.headers))
        answer = self.upstream.getresponse()
        return answer, answer.read()

    def relay(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        """Hand the answer on."""
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    """Run a counting proxy in front of an endpoint for the length of a with block."""
    with CountingProxy(upstream) as server, serving(server):
        yield server


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve on a thread for the length of a with block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
