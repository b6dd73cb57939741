"""The HTTP server: its limits against slow clients, and how it leaves a shared port."""

import asyncio
import ctypes
import socket
import ssl
import struct
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.web import Application

from visionfleet.web.http.arrival import HEADER_SECONDS, Arrival
from visionfleet.web.http.connection import (
    PACE_BYTES_PER_SECOND,
    PACE_SECONDS,
    Connection,
    TlsConnection,
)
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.head import HEADER_BYTES
from visionfleet.web.http.targets import without_prefix
from visionfleet.web.http.watch import Watch
from visionfleet.web.problems import Problem

# Longer than load balancers keep idle connections (60 s), so that none is closed just when it is
# used again.
IDLE_SECONDS = 120.0
# Handlers limit bodies themselves, with a 413; Tornado would send a bare 400.
_NO_LIMIT = 1 << 60
# Accepts per iteration of the event loop: an upload takes many iterations, which so stay short.
# More would accept hardly faster.
ACCEPTS_A_TURN = 4
# Pending TCP handshakes finish within this time, at round trips of up to 0.5 s.
HANDSHAKE_SECONDS = 0.5
_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# Classic BPF on the TCP header: drop packets with SYN and without ACK, which open connections.
_DROP_SYN = (
    (0x30, 0, 0, 13),  # load byte 13, the flags
    (0x54, 0, 0, 0x12),  # and SYN | ACK
    (0x15, 0, 1, 0x02),  # is it SYN alone?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep it whole
)


class OpenSet:
    """The open connections, or the requests not answered yet."""

    def __init__(self) -> None:
        self.open: set[object] = set()
        self._left = asyncio.Event()

    def leave(self, one: object, _cause: object = None) -> None:
        """Remove one; idempotent."""
        self.open.discard(one)
        self._left.set()

    async def none_left(self, seconds: float) -> bool:
        """Wait until none is open; False after a timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.open:
                    self._left.clear()
                    await self._left.wait()
        return not self.open


class WebServer(HTTPServer):
    """Serves an application. `max_connections` stays below the limit of open files."""

    def initialize(  # type: ignore[override]
        self,
        routes: Application,
        max_connections: int,
        limiter: ConnectionLimiter,
        tls: ssl.SSLContext | None = None,
        public_path: str = "",
    ) -> None:
        super().initialize(
            routes,
            protocol="http" if tls is None else "https",
            idle_connection_timeout=IDLE_SECONDS,
            max_header_size=HEADER_BYTES,
            max_body_size=_NO_LIMIT,
        )
        self._max_connections = max_connections
        self._limiter = limiter
        self._tls = tls
        self._listeners: list[socket.socket] = []
        self._watch: Watch | None = None
        self._public_path = public_path
        self._known: set[object] = set()
        self.connections = OpenSet()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Listen. Tornado would accept 128 per iteration and block the others for so long."""
        self._listeners, self._watch = list(sockets), Watch()
        for listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def stop(self) -> None:
        while self._listeners:
            listener = self._listeners.pop()
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                client, address = listener.accept()
            except OSError:  # none left, closed again, or out of file descriptors
                return
            client.setblocking(False)
            if self._has_room() or (self._limiter.make_room() and self._has_room()):
                self._receive(client, address)
            else:
                client.close()

    def _has_room(self) -> bool:
        return len(self.connections.open) < self._max_connections

    def _receive(self, client: socket.socket, address: Any) -> None:
        begin = partial(self._begin, client, address)
        assert self._watch
        arrival = Arrival(client, self._limiter, self._watch, begin, tls=self._tls is not None)
        self.connections.open.add(arrival)
        arrival.open()

    def _begin(self, client: socket.socket, address: Any, arrival: Arrival) -> None:
        self._limiter.leave(arrival)
        self.connections.leave(arrival)
        if client.fileno() != -1:
            try:
                self._serve(client, address, arrival)
            except OSError:  # disconnected meanwhile
                client.close()

    def _serve(self, client: socket.socket, address: Any, arrival: Arrival) -> None:
        stream: Connection
        if self._tls is None:
            stream = Connection(client, self._limiter, admitted=True)
            stream.unread(arrival.taken)
        else:
            secured = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            stream = TlsConnection(secured, self._limiter)
        self.connections.open.add(stream)
        if not arrival.known:
            self._limiter.arrive(stream)
        self.handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        assert isinstance(server_conn, HTTP1ServerConnection)
        self._known.discard(server_conn)
        assert isinstance(server_conn.stream, Connection)
        self._limiter.leave(server_conn.stream)
        self.connections.leave(server_conn.stream)

    def start_request(
        self, server_conn: object, request_conn: HTTPConnection
    ) -> HTTPMessageDelegate:
        inner = super().start_request(server_conn, request_conn)
        assert isinstance(server_conn, HTTP1ServerConnection)
        assert isinstance(server_conn.stream, Connection)
        if self._tls is not None and server_conn not in self._known:
            server_conn.stream.expect_head(HEADER_SECONDS)
        self._known.add(server_conn)
        assert isinstance(request_conn, HTTP1Connection)
        return _PacedBody(inner, server_conn.stream, request_conn, self._public_path)

    async def leave(self) -> None:
        """Stop listening without losing a connection.

        Closing a listener resets the connections in its queue, and with SO_REUSEPORT the kernel
        keeps queueing new ones until then. So SYNs are dropped first: the client's kernel
        retransmits after a second and reaches another process. Meanwhile pending handshakes finish
        and are accepted.
        """
        for listener in self._listeners:
            drop_new_connections(listener)
        await asyncio.sleep(HANDSHAKE_SECONDS)
        self.stop()

    async def close_all_connections(self) -> None:
        for one in tuple(self.connections.open):
            assert isinstance(one, Arrival | Connection)
            one.abort()
        if self._watch is not None:
            self._watch.close()
        await super().close_all_connections()


class _PacedBody(HTTPMessageDelegate):
    """Passes a request on, and closes its connection when the body arrives too slowly."""

    def __init__(
        self,
        inner: HTTPMessageDelegate,
        stream: Connection,
        exchange: HTTP1Connection,
        public_path: str,
    ) -> None:
        self._inner = inner
        self._exchange = exchange
        self._public_path = public_path
        self._stream = stream
        self._came = 0
        self._timer: asyncio.TimerHandle | None = None

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Any:
        assert isinstance(start_line, RequestStartLine)
        self._stream.begin(start_line.version)
        _normalize_expect(start_line.version, headers)
        # Tornado recognizes a single `close`; RFC 9110, 7.6.1 allows a list.
        options = headers.get("Connection", "").lower().split(",")
        self._exchange._disconnect_on_finish |= "close" in (one.strip() for one in options)
        if headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers:
            self._stream.body_open = True
            self._look_later()
        path = without_prefix(start_line.path, self._public_path)
        return self._inner.headers_received(start_line._replace(path=path), headers)

    def data_received(self, chunk: bytes) -> Any:
        self._came += len(chunk)
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._cancel()
        self._stream.body_open = False
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._cancel()
        self._inner.on_connection_close()

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(PACE_SECONDS, self._look)

    def _look(self) -> None:
        if self._came >= PACE_BYTES_PER_SECOND * PACE_SECONDS:
            self._came = 0
            self._look_later()
        else:
            self._stream.refuse(Problem("too_slow", "the body comes too slowly"))

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _normalize_expect(version: str, headers: HTTPHeaders) -> None:
    """RFC 9110, 10.1.1: case-insensitive, and ignored from HTTP/1.0."""
    if headers.get("Expect", "").lower() == "100-continue":
        del headers["Expect"]
        if version != "HTTP/1.0":
            headers["Expect"] = "100-continue"


def drop_new_connections(listener: socket.socket) -> None:
    """Make a listening socket ignore new connections, and keep those in its queue."""
    program = b"".join(struct.pack("HBBI", *line) for line in _DROP_SYN)
    code = ctypes.create_string_buffer(program)
    filter_ = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
    with suppress(OSError):  # not supported: connections in the queue may be reset
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Load a certificate chain and its key; raises OSError, including SSLError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(certificate, key)
    return made
