"""A proxy in front of the embedded AWS that injects faults: in answers, messages and batches.

The draws come from one seeded generator, but threads decide who draws when: a seed gives the same
mix of faults, not the same faults.
"""

import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import urlsplit

from testkit.aws import queue_faults
from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving
from testkit.aws.faults import (
    CUT_ANSWER,
    CUT_ERROR,
    ERROR,
    HALF_FAILED,
    LATENCY,
    LOST_ANSWER,
    NOT_DELETED,
    OUTAGE,
    RECEIVED_LATE,
    RECEIVED_TWICE,
    RESET_BEFORE,
    SKEWED,
    SLOW_DOWN,
    Faults,
    cut_at_random,
    cut_in,
)

_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST in place of FIN
_REFUSALS = {
    ERROR: (500, "InternalError"),
    SLOW_DOWN: (503, "SlowDown"),
    SKEWED: (403, "RequestTimeTooSkewed"),
    CUT_ERROR: (500, "InternalError"),
}
_OWN = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True)
class Call:
    """One call as it came from the client; `retry` tells that boto3 tries it again."""

    operation: str
    path: str
    retry: bool


class FaultProxy(CountingProxy):
    """Forwards and injects faults; `done` counts them by kind.

    `faults` are by service, S3, SQS or EC2, and may be changed at any time; while `outage` is set
    no call gets an answer. `watch` is told of each call before anything happens to it.
    """

    def __init__(self, upstream: str, seed: int, watch: Callable[[Call], None], ec2: str) -> None:
        super().__init__(upstream, FaultHandler)
        self.ec2 = urlsplit(ec2).netloc
        self.faults: Mapping[str, Faults] = {}
        self.outage = threading.Event()
        self.done: Counter[str] = Counter()
        self.watch = watch
        self._lock = threading.Lock()
        self.random = Random(seed)  # each call of it is atomic
        self.remembered = queue_faults.Remembered()

    def draw(self, operation: str) -> tuple[str | None, float]:
        """Draw the fault of a call, and the seconds of latency where it is that."""
        if self.outage.is_set():
            return OUTAGE, 0.0
        faults = self.faults.get(operation.split()[0], Faults())
        kind = faults.draw(self.random, operation)
        return kind, self.random.uniform(0, faults.latency_seconds)

    def count(self, kind: str) -> None:
        with self._lock:
            self.done[kind] += 1

    def shutdown_request(self, request: Any) -> None:
        """Close without a FIN first, so that a reset is a reset."""
        self.close_request(request)


class FaultHandler(ForwardingHandler):
    """One connection on which calls may go wrong."""

    server: FaultProxy

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.operation
        self.server.calls[operation] += 1
        retry = "attempt=1" not in self.headers.get("amz-sdk-request", "attempt=1")
        self.server.watch(Call(operation, self.path, retry))
        kind, seconds = self.server.draw(operation)
        if kind in (RESET_BEFORE, OUTAGE):
            self._reset(kind)
        elif kind in _REFUSALS:
            self._refuse(kind)
        elif kind in (NOT_DELETED, HALF_FAILED):
            self._answer_falsely(kind, body)
        else:
            self._pass(body, kind, seconds)

    def ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """EC2 may be elsewhere; a connection carries the calls of one service."""
        netloc = self.server.ec2 if self.operation == "EC2" else self.server.upstream
        if netloc != f"{self.upstream.host}:{self.upstream.port}":
            self.upstream.close()
            self.upstream = http.client.HTTPConnection(netloc)
        return super().ask(body)

    def _pass(self, body: bytes, kind: str | None, seconds: float) -> None:
        if kind == LATENCY:
            self.server.count(kind)
            time.sleep(seconds)
        answer, content = self.ask(body)
        if self.operation == "SQS ReceiveMessage" and answer.status == http.client.OK:
            self._deliver_again(kind, json.loads(body), content)
        if self.server.outage.is_set():  # it has begun meanwhile
            self._reset(OUTAGE)
        elif kind == LOST_ANSWER:
            self._reset(kind)
        elif kind == CUT_ANSWER:
            self._cut(kind, _raw(answer.status, dict(answer.getheaders()), content))
        else:
            self.relay(answer, content)

    def _deliver_again(self, kind: str | None, asked: dict[str, Any], content: bytes) -> None:
        random, remembered = self.server.random, self.server.remembered
        if kind == RECEIVED_TWICE:
            done = queue_faults.received_twice(self._send, asked, content, random)
        else:
            done = kind == RECEIVED_LATE and remembered.send_again(self._send, asked, random)
        remembered.note(asked, content)
        if kind and done:
            self.server.count(kind)

    def _answer_falsely(self, kind: str, body: bytes) -> None:
        self.server.count(kind)
        asked, operation = json.loads(body), self.operation.removeprefix("SQS ")
        if kind == NOT_DELETED:
            content = queue_faults.not_deleted(asked)
        else:
            content = queue_faults.half_failed(self._send, operation, asked, self.server.random)
        self.wfile.write(_raw(200, {"Content-Type": "application/x-amz-json-1.0"}, content))

    def _send(self, operation: str, asked: Mapping[str, Any]) -> queue_faults.Answer:
        """Make a call of our own to SQS."""
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{operation}",
            "Authorization": self.headers.get("Authorization", ""),
        }
        self.upstream.request("POST", self.path, json.dumps(asked), headers)
        answer = self.upstream.getresponse()
        return answer.status, answer.read()

    def _reset(self, kind: str) -> None:
        self.server.count(kind)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close_connection = True

    def _cut(self, kind: str, raw: bytes) -> None:
        """Send a part of an answer, then close or reset the connection."""
        part, sent = cut_at_random(raw, self.server.random)
        self.server.count(cut_in(kind, part))
        self.wfile.write(sent)
        if self.server.random.random() < 0.5:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close_connection = True

    def _refuse(self, kind: str) -> None:
        """Answer with an error as S3 and EC2 (XML) or SQS (JSON) do, whole or not."""
        status, code = _REFUSALS[kind]
        error = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
        if self.operation.startswith("S3"):
            text = error
        elif self.operation == "EC2":
            text = f"<Response><Errors>{error}</Errors></Response>"
        else:
            text = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "injected"})
        raw = _raw(status, {}, text.encode())
        if self.command == "HEAD":
            raw = raw[: raw.index(b"\r\n\r\n") + 4]
        if kind == CUT_ERROR:
            self._cut(kind, raw)
        else:
            self.server.count(kind)
            self.wfile.write(raw)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


def _raw(status: int, headers: Mapping[str, str], content: bytes) -> bytes:
    kept = [f"{name}: {headers[name]}" for name in headers if name.lower() not in _OWN]
    lines = [f"HTTP/1.1 {status} Said So", *kept, f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@contextmanager
def fault_proxy(
    upstream: str, seed: int = 0, watch: Callable[[Call], None] = lambda _: None, ec2: str = ""
) -> Iterator[FaultProxy]:
    """Run a fault proxy, without faults at first, for the length of a with block."""
    with FaultProxy(upstream, seed, watch, ec2 or upstream) as server, serving(server):
        yield server
