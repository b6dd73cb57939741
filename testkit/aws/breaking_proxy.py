"""A proxy in front of the embedded AWS that breaks answers at one phase of the exchange."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving

STALL_SECONDS = 2.0
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST in place of FIN
_PAGE = b"<html><body>Please log in to this network</body></html>"
_NOISE = bytes(range(128, 256))


class BreakingProxy(CountingProxy):
    """Forwards; while `phase` is set, the calls that `picks` picks are broken so."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, BreakingHandler)
        self.phase: str | None = None
        self.picks: Callable[[BreakingHandler], bool] = lambda _: True
        self.broken = 0

    def shutdown_request(self, request: "socket.socket | tuple[bytes, socket.socket]") -> None:
        """Close without a FIN first, so that a reset is a reset."""
        self.close_request(request)


class BreakingHandler(ForwardingHandler):
    """One connection, on which an answer may break off."""

    server: BreakingProxy

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        phase = self.server.phase
        self.server.calls[self.operation] += 1
        if phase is None or not self.server.picks(self):
            self.relay(*self.ask(body))
            return
        self.server.broken += 1
        self.close_connection = True
        with suppress(OSError):
            if phase in LATE:
                LATE[phase](self, *self.ask(body))
            else:
                EARLY[phase](self)

    def put(self, *pieces: bytes) -> None:
        self.wfile.write(b"".join(pieces))

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)

    def answer(self, status: int, text: str | bytes, *headers: bytes) -> None:
        """Answer whole; the connection ends with it."""
        body = text.encode() if isinstance(text, str) else text
        if self.command == "HEAD":
            body = b""
        lines = [b"HTTP/1.1 %d Said So" % status, b"Content-Length: %d" % len(body), *headers]
        self.put(b"\r\n".join(lines), b"\r\n\r\n", body)

    def refuse(self, status: int, code: str, message: str = "injected") -> None:
        """Refuse as S3 and EC2 (XML) or SQS (JSON) do."""
        error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        if "X-Amz-Target" in self.headers:
            said = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message})
        elif "x-www-form-urlencoded" in self.headers.get("Content-Type", ""):
            said = f"<Response><Errors>{error}</Errors></Response>"
        else:
            said = error
        self.answer(status, said)

    def stall(self) -> None:
        time.sleep(STALL_SECONDS)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


def _cut_body(it: BreakingHandler, answer: http.client.HTTPResponse, content: bytes) -> None:
    """The call has taken effect, and its answer says so with half its body."""
    head = b"HTTP/1.1 %d OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n"
    etag = answer.headers.get("ETag", '"0"').encode()
    it.put(head % (answer.status, etag, len(content) + 100), content[: len(content) // 2])


def _cut_chunk(it: BreakingHandler, answer: http.client.HTTPResponse, content: bytes) -> None:
    head = b'HTTP/1.1 %d OK\r\nETag: "0"\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n'
    it.put(head % (answer.status, len(content) + 10), content)


def _lost(it: BreakingHandler, _: http.client.HTTPResponse, __: bytes) -> None:
    it.reset()


# By name: what the answer is in place of AWS's, which never hears of the call.
EARLY: Mapping[str, Callable[[BreakingHandler], None]] = {
    "reset": BreakingHandler.reset,
    "closed": lambda _: None,
    "cut status line": lambda it: it.put(b"HTTP/1.1 20"),
    "no status line": lambda it: it.put(_NOISE, b"\r\n\r\n"),
    "cut headers": lambda it: it.put(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Le'),
    "odd length": lambda it: it.put(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc"),
    "two lengths": lambda it: it.put(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nabc"),
    "odd chunk": lambda it: it.put(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "no gzip": lambda it: it.answer(200, b"no gzip at all", b"Content-Encoding: gzip"),
    "cut error": lambda it: it.put(b"HTTP/1.1 503 No\r\nContent-Length: 999\r\n\r\n<Error><Co"),
    "cut refusal": lambda it: it.put(b"HTTP/1.1 403 No\r\nContent-Length: 999\r\n\r\n<Error>"),
    "page": lambda it: it.answer(200, _PAGE, b"Content-Type: text/html"),
    "noise": lambda it: it.answer(200, _NOISE),
    "nothing": lambda it: it.answer(200, b""),
    "no content": lambda it: it.put(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "error with 200": lambda it: it.refuse(200, "InternalError"),
    "noise with 500": lambda it: it.answer(500, _NOISE),
    "page with 502": lambda it: it.answer(502, _PAGE, b"Content-Type: text/html"),
    "page with 404": lambda it: it.answer(404, _PAGE, b"Content-Type: text/html"),
    "page with 403": lambda it: it.answer(403, _PAGE, b"Content-Type: text/html"),
    "login redirect": lambda it: it.answer(302, _PAGE, b"Location: http://127.0.0.1:9/login"),
    "proxy wants a login": lambda it: it.answer(407, _PAGE),
    "too many requests": lambda it: it.answer(429, b""),
    "denied": lambda it: it.refuse(403, "AccessDenied"),
    "skewed": lambda it: it.refuse(403, "RequestTimeTooSkewed"),
    "signature expired": lambda it: it.refuse(403, "SignatureDoesNotMatch", "Signature expired: x"),
    "token expired": lambda it: it.refuse(400, "ExpiredToken"),
    "KMS throttles": lambda it: it.refuse(400, "KMS.ThrottlingException"),
    "KMS key disabled": lambda it: it.refuse(400, "KMS.DisabledException"),
    "no such bucket": lambda it: it.refuse(404, "NoSuchBucket"),
    "slow down": lambda it: it.refuse(503, "SlowDown"),
    "stall": BreakingHandler.stall,
}
# What becomes of AWS's own answer.
LATE: Mapping[str, Callable[[BreakingHandler, http.client.HTTPResponse, bytes], None]] = {
    "cut body": _cut_body,
    "cut chunk": _cut_chunk,
    "lost answer": _lost,
}
PHASES = (*EARLY, *LATE)


@contextmanager
def breaking_proxy(upstream: str) -> Iterator[BreakingProxy]:
    """Run such a proxy, which breaks nothing at first, for the length of a with block."""
    with BreakingProxy(upstream) as server, serving(server):
        yield server
