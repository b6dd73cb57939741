"""A proxy in front of the embedded AWS that injects faults: resets, errors, latency, outages.

The draws come from one seeded generator, but threads decide who draws when: a seed gives the same
mix of faults, not the same faults.
"""

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

from testkit.aws.counting_proxy import CountingProxy, ForwardingHandler, serving

RESET_BEFORE = "reset before it was forwarded"
LOST_ANSWER = "answer lost"
ERROR = "500"
SLOW_DOWN = "503 SlowDown"
LATENCY = "latency"
OUTAGE = "outage"
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST in place of FIN


@dataclass(frozen=True)
class Faults:
    """Probabilities per call, and the longest delay that latency adds."""

    reset_before: float = 0.0
    lost_answer: float = 0.0
    error: float = 0.0
    slow_down: float = 0.0
    latency: float = 0.0
    latency_seconds: float = 0.5

    def draw(self, random: Random) -> str | None:
        """Draw the fault of one call, None for none."""
        table = {
            RESET_BEFORE: self.reset_before,
            LOST_ANSWER: self.lost_answer,
            ERROR: self.error,
            SLOW_DOWN: self.slow_down,
            LATENCY: self.latency,
        }
        point = random.random()
        for kind, share in table.items():
            if point < share:
                return kind
            point -= share
        return None


@dataclass(frozen=True)
class Call:
    """One call as it came from the client; `retry` tells that boto3 tries it again."""

    operation: str
    path: str
    retry: bool


class FaultProxy(CountingProxy):
    """Forwards and injects faults; `done` counts them by kind.

    `faults` are by service, S3 or SQS, and may be changed at any time; while `outage` is set no
    call gets an answer. `watch` is told of each call before anything happens to it.
    """

    def __init__(self, upstream: str, seed: int, watch: Callable[[Call], None]) -> None:
        super().__init__(upstream, FaultHandler)
        self.faults: Mapping[str, Faults] = {}
        self.outage = threading.Event()
        self.done: Counter[str] = Counter()
        self.watch = watch
        self._random = Random(seed)
        self._lock = threading.Lock()

    def draw(self, service: str) -> tuple[str | None, float]:
        """Draw the fault of a call, and the seconds of latency where it is that."""
        with self._lock:
            if self.outage.is_set():
                return self._count(OUTAGE), 0.0
            faults = self.faults.get(service, Faults())
            kind = faults.draw(self._random)
            return self._count(kind), self._random.uniform(0, faults.latency_seconds)

    def cut(self) -> bool:
        """Tell whether an outage has begun while a call was under way, and count it."""
        with self._lock:
            return self.outage.is_set() and self._count(OUTAGE) is not None

    def _count(self, kind: str | None) -> str | None:
        if kind is not None:
            self.done[kind] += 1
        return kind

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
        kind, seconds = self.server.draw(operation.split()[0])
        if kind in (RESET_BEFORE, OUTAGE):
            self._reset()
        elif kind in (ERROR, SLOW_DOWN):
            self._refuse(kind)
        else:
            self._pass(body, kind, seconds)

    def _pass(self, body: bytes, kind: str | None, seconds: float) -> None:
        if kind == LATENCY:
            time.sleep(seconds)
        answer, content = self.ask(body)
        if kind == LOST_ANSWER or self.server.cut():
            self._reset()
        else:
            self.relay(answer, content)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.close_connection = True

    def _refuse(self, kind: str) -> None:
        """Answer with an error as S3 (XML) or SQS (JSON) does."""
        status = 500 if kind == ERROR else 503
        code = "InternalError" if kind == ERROR else "SlowDown"
        if self.operation.startswith("S3"):
            text = f"<Error><Code>{code}</Code><Message>injected</Message></Error>"
        else:
            text = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": "injected"})
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815


@contextmanager
def fault_proxy(
    upstream: str, seed: int = 0, watch: Callable[[Call], None] = lambda _: None
) -> Iterator[FaultProxy]:
    """Run a fault proxy, without faults at first, for the length of a with block."""
    with FaultProxy(upstream, seed, watch) as server, serving(server):
        yield server
