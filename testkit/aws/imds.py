"""EC2's instance metadata over real HTTP: version 2 only, with tokens that expire."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INSTANCE_ID = "/latest/meta-data/instance-id"
USER_DATA = "/latest/user-data"
INTERRUPTION = "/latest/meta-data/spot/instance-action"
REBALANCE = "/latest/meta-data/events/recommendations/rebalance"


class ImdsServer(ThreadingHTTPServer):
    """`tell` makes a path answer. `tokens` are those that are valid now; `status` overrules all."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ImdsHandler)
        self.documents: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self.calls: list[str] = []
        self.refused = 0
        self.status: int | None = None
        self.issued = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def tell(self, path: str, **document: str) -> None:
        """Make a path answer with a JSON object."""
        self.documents[path] = json.dumps(document).encode()

    def forget_tokens(self) -> None:
        """Let every token expire."""
        self.tokens.clear()


class ImdsHandler(BaseHTTPRequestHandler):
    """PUT gives a token, GET demands one, as IMDSv2 with HttpTokens=required does."""

    protocol_version = "HTTP/1.1"
    server: ImdsServer

    def do_PUT(self) -> None:
        lifetime = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        self.server.calls.append(f"PUT {self.path}")
        if self.server.status is not None:
            self.answer(self.server.status, b"")
        elif (
            self.path != "/latest/api/token"
            or not lifetime.isdecimal()
            or not 1 <= int(lifetime) <= 21600
        ):
            self.answer(400, b"")
        else:
            self.server.issued += 1
            token = f"token-{self.server.issued}"
            self.server.tokens.add(token)
            self.answer(200, token.encode())

    def do_GET(self) -> None:
        self.server.calls.append(f"GET {self.path}")
        if self.server.status is not None:
            self.answer(self.server.status, b"")
        elif self.headers.get("X-aws-ec2-metadata-token") not in self.server.tokens:
            self.server.refused += 1
            self.answer(401, b"")
        elif self.path not in self.server.documents:
            self.answer(404, b"")
        else:
            self.answer(200, self.server.documents[self.path])

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def imds_server() -> Iterator[ImdsServer]:
    """Run a metadata service for the length of a with block."""
    with ImdsServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
