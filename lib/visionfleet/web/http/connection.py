"""A client's connection, with limits that Tornado lacks."""

import asyncio
import os
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import SSLIOStream, StreamClosedError, UnsatisfiableReadError

from visionfleet.web.http.arrival import Drain
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.pauses import MUCH_BYTES, pause_seconds
from visionfleet.web.http.stream import ClientStream, last_answer
from visionfleet.web.problems import Problem

# The minimum rate, averaged over PACE_SECONDS, at which a client must send its body and read the
# response. Slow lines pass; a stalled connection is closed.
PACE_SECONDS = 10.0
PACE_BYTES_PER_SECOND = 1024
# A chunk costs as much as some hundred bytes, so many chunks must be large on average.
FREE_CHUNKS = 1024
CHUNK_BYTES = 128
CHUNKS_A_TURN = 16
LONGEST_PAUSE_SECONDS = 0.5
# Reads from this size on are queued.
PIECE_BYTES = 16 << 10
_CONTINUE = b"HTTP/1.1 100"


class Connection(ClientStream):
    """The stream of one client, with limits. `admitted`: its first headers have had their turn."""

    def __init__(
        self, client: socket.socket, limiter: ConnectionLimiter, admitted: bool = False
    ) -> None:
        self._limiter = limiter
        self._is_admitted = admitted
        self._chunks = self._asked = 0
        self._answered = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._small_reads = 0
        self._pause: asyncio.TimerHandle | None = None
        super().__init__(client)

    def expect_head(self, seconds: float) -> None:
        """Close the connection if no headers arrive in time, with a response if they have begun."""
        self._head_timer = asyncio.get_running_loop().call_later(seconds, self._end_slow_head)

    def _end_slow_head(self) -> None:
        if self.has_read:
            self.refuse(Problem("too_slow", "the head of the request comes too slowly"))
        else:
            self.abort()

    def begin(self, version: str) -> None:
        self._cancel_head_timer()
        self._small_reads = 0
        super().begin(version)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        if self._pause is not None:
            return None
        count = super().read_from_fd(buf)
        if count:
            self._pace_reads(count)
        return count

    def _pace_reads(self, count: int) -> None:
        """Pause between reads of little, so that each comes to bring more."""
        if count >= MUCH_BYTES:
            self._small_reads = max(0, self._small_reads - 1)
            return
        self._small_reads += 1
        if seconds := pause_seconds(self._small_reads):
            seconds = min(LONGEST_PAUSE_SECONDS, seconds)
            self._pause = asyncio.get_running_loop().call_later(seconds, self._resume)

    def _handle_events(self, fd: Any, events: int) -> None:
        super()._handle_events(fd, events)
        if self._pause is not None and self._state is not None and self._state & IOLoop.READ:
            self._state &= ~IOLoop.READ
            self.io_loop.update_handler(fd, self._state)

    def _add_io_state(self, state: int) -> None:
        if self._pause is not None:
            state &= ~IOLoop.READ
        if state:
            super()._add_io_state(state)

    def _resume(self) -> None:
        self._pause = None
        if self.reading():
            self._add_io_state(IOLoop.READ)
        else:
            self._maybe_add_error_listener()

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Tornado reads headers with this, and nothing else."""
        return asyncio.ensure_future(self._head(super().read_until_regex(regex, max_bytes)))

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Tornado reads chunk size lines with this, and nothing else."""
        self._stop_if_answered()
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._asked < self._chunks * CHUNK_BYTES:
            detail = f"the chunks are too small, {CHUNK_BYTES} bytes on average are expected"
            self.refuse(Problem("bad_body", detail))
            raise StreamClosedError
        reading = super().read_until(delimiter, max_bytes)
        return reading if self._chunks % CHUNKS_A_TURN else self._in_turn(reading)

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[bytes]:
        self._stop_if_answered()
        self._asked += num_bytes
        reading = super().read_bytes(num_bytes, partial)
        return reading if num_bytes < PIECE_BYTES else self._in_turn(reading)

    def write(self, data: bytes | memoryview) -> "asyncio.Future[None]":
        written = super().write(data)
        self._answered |= self.body_open and bytes(data[: len(_CONTINUE)]) != _CONTINUE
        if not written.done():
            seconds = PACE_SECONDS + len(data) / PACE_BYTES_PER_SECOND
            timer = asyncio.get_running_loop().call_later(seconds, self.abort)
            written.add_done_callback(lambda _: timer.cancel())
        return written

    def close(self, exc_info: Any = False) -> None:
        """Close; a response sent before the end of the body must still reach the client."""
        self._cancel_head_timer()
        if self._pause is not None:
            self._pause.cancel()
        if isinstance(exc_info, Exception):
            exc_info.__traceback__ = None  # the stream keeps the error, and its frames a buffer
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self.refuse_what_cannot_be_read(exc_info)
        if self._answered and self.body_open and not self.closed():
            self.body_open = False
            with suppress(OSError):  # already closed, or out of file descriptors
                Drain(socket.socket(fileno=os.dup(self.socket.fileno())), self._limiter)
        super().close(exc_info)

    def abort(self) -> None:
        self.body_open = False
        self.close()

    give_way = abort

    def refuse(self, problem: Problem) -> None:
        """Send an error response without a handler, and close."""
        if not self.closed():
            self.body_open = True  # the client may still be sending
            self.write(last_answer(problem)).add_done_callback(lambda _: self.close())

    async def _head(self, reading: Awaitable[bytes]) -> bytes:
        head = await reading
        self._chunks = self._asked = 0
        self._answered = False
        if not self._is_admitted:
            await self._limiter.admit(self, head)
        self._is_admitted = False
        if self.closed():  # evicted or disconnected while queued
            raise StreamClosedError
        return head

    def _stop_if_answered(self) -> None:
        """Tornado would otherwise go on parsing its buffer: some 10,000 chunks of one byte."""
        if self._answered and self.closed():
            raise StreamClosedError

    def _cancel_head_timer(self) -> None:
        """An active timer would keep the connection in memory."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _in_turn(self, reading: Awaitable[bytes]) -> Awaitable[bytes]:
        return asyncio.ensure_future(self._piece(reading))

    async def _piece(self, reading: Awaitable[bytes]) -> bytes:
        piece = await reading
        await self._limiter.next_piece()
        return piece


class TlsConnection(Connection, SSLIOStream):
    """The same over TLS."""

    def _do_ssl_handshake(self) -> None:
        self._pace_reads(0)
        super()._do_ssl_handshake()
