"""Connections before their first bytes and after their last response."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from visionfleet.web.http.gate import DRAIN_BYTES, Gate

# The time limit from accept to the first bytes, and again to the end of the first headers,
# including a TLS handshake.
HEADER_SECONDS = 15.0
# Room for some KiB of browser cookies; nothing here needs more.
HEADER_BYTES = 32 << 10
# How long to keep reading after a response sent before the end of the body.
LINGER_SECONDS = 5.0


class Arrival:
    """A connection before its first bytes; `serve` is called when it may be served."""

    def __init__(self, client: socket.socket, gate: Gate, serve: Callable[[], object]) -> None:
        self._client, self._gate, self._serve = client, gate, serve
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HEADER_SECONDS, self.abort)
        self._loop.add_reader(client, self._look)

    def abort(self) -> None:
        """Close it; `serve` then finds it closed."""
        if self._client.fileno() != -1:
            self._cease()
            self._client.close()
            self._serve()

    def _look(self) -> None:
        try:
            first = self._client.recv(HEADER_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if first:
            self._cease()
            self._gate.start(first, self._serve)
        else:
            self.abort()

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
        self._timer = self._loop.call_later(LINGER_SECONDS, self._end)
        self._loop.add_reader(client, self._read)

    def _read(self) -> None:
        try:
            more = bool(self._client.recv(DRAIN_BYTES))
        except BlockingIOError:
            return
        except OSError:
            more = False
        if not more or not self._gate.may_drain():
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._client)
        self._client.close()
