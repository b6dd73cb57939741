"""Connections before their first bytes and after their last response."""

import asyncio
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from visionfleet.web.http.gate import DRAIN_BYTES, Gate
from visionfleet.web.http.stream import last_answer
from visionfleet.web.problems import Problem

# The time limit from accept to the first bytes, and again to the end of the first headers,
# including a TLS handshake.
HEADER_SECONDS = 15.0
# Room for some KiB of browser cookies; nothing here needs more.
HEADER_BYTES = 32 << 10
# How long to keep reading after a response sent before the end of the body.
LINGER_SECONDS = 5.0
# How long reading pauses when all drained connections have read enough. If closed at once, a client
# that still sends, as nginx does, would see a reset instead of its answer.
PAUSE_SECONDS = 1.0
_TLS_HANDSHAKE = b"\x16"  # RFC 8446, 5.1
# What a method may begin with, or an empty line before it (RFC 9112, 2.2).
_METHOD = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~\r\n-]")


class Arrival:
    """A connection before its first bytes; `serve` is called with it when it may be served, or is
    closed. `serve` must not refer to it before: a reference cycle waits for the garbage collector.

    `tls`: whether TLS is expected here.
    """

    def __init__(
        self,
        client: socket.socket,
        gate: Gate,
        serve: Callable[["Arrival"], object],
        tls: bool = False,
    ) -> None:
        self._client, self._gate, self._serve = client, gate, serve
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEADER_SECONDS, self.abort)
        self._loop.add_reader(client, self._look)

    def abort(self) -> None:
        """Close it; `serve` then finds it closed."""
        if self._client.fileno() != -1:
            self._cease()
            self._client.close()
            self._serve(self)

    def _look(self) -> None:
        try:
            first = self._client.recv(HEADER_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self.abort()
            return
        self._cease()
        fault = fault_of_start(first, self._tls)
        begin = partial(self._refuse, fault) if fault else partial(self._serve, self)
        self._gate.start(first, begin)

    def _refuse(self, fault: str) -> None:
        """Respond at once instead of letting the client time out."""
        if self._client.fileno() == -1:  # it gave way to another before its turn
            return
        with suppress(OSError):  # already closed
            self._client.send(last_answer(Problem("bad_parameter", fault)))
        Drain(socket.socket(fileno=self._client.detach()), self._gate)
        self._serve(self)

    def _cease(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._client)


class Drain:
    """Reads and discards for a while: closing with unread data would reset the connection, and the
    client would lose the response.
    """

    def __init__(self, client: socket.socket, gate: Gate) -> None:
        self._client, self._gate = client, gate
        self._loop = asyncio.get_running_loop()
        with suppress(OSError):  # already closed
            client.shutdown(socket.SHUT_WR)
        self._timer = self._loop.call_later(LINGER_SECONDS, self.abort)
        self._pause: asyncio.TimerHandle | None = None
        gate.arrive(self)
        self._resume()

    def abort(self) -> None:
        self._gate.leave(self)
        self._timer.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._client)
        self._client.close()

    def _resume(self) -> None:
        self._loop.add_reader(self._client, self._read)

    def _read(self) -> None:
        if not self._gate.may_drain():
            self._loop.remove_reader(self._client)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
            return
        try:
            more = bool(self._client.recv(DRAIN_BYTES))
        except BlockingIOError:
            return
        except OSError:
            more = False
        if not more:
            self.abort()


def fault_of_start(first: bytes, tls: bool) -> str:
    """Why a client's first bytes cannot start a request here; empty if they can."""
    if tls:
        other = "this port speaks TLS: use https:// in place of http://"
        return "" if first.startswith(_TLS_HANDSHAKE) else other
    if first.startswith(_TLS_HANDSHAKE):
        return "this port speaks plain HTTP: use http:// in place of https://"
    return "" if _METHOD.match(first) else "this is not a request as in HTTP/1.1"
