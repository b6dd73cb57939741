"""A client's connection, within bounds that Tornado does not set."""

import asyncio
import os
import socket
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from tornado.iostream import SSLIOStream, StreamClosedError, UnsatisfiableReadError

from visionfleet.web.http.arrival import Drain
from visionfleet.web.http.gate import Gate
from visionfleet.web.http.stream import ClientStream, last_answer
from visionfleet.web.problems import Problem

# A client sends its body, and takes its answer, at this pace over any PACE_SECONDS: a slow line is
# fine, a standstill holds a connection for nothing.
PACE_SECONDS = 10.0
PACE_BYTES_PER_SECOND = 1024
# Heads: what parsing costs goes by lines and by members of the query.
HEAD_LINES = 128
TARGET_BYTES = 8 << 10
QUERY_MEMBERS = 128
# Chunks: each costs as much as some hundred bytes, so a body of many has to have larger ones.
FREE_CHUNKS = 1024
CHUNK_BYTES = 128
CHUNKS_A_TURN = 16
# From so much on a piece of a body waits for its turn.
PIECE_BYTES = 16 << 10
_CONTINUE = b"HTTP/1.1 100"


class Connection(ClientStream):
    """The stream of one client, within its bounds."""

    def __init__(self, client: socket.socket, gate: Gate) -> None:
        self._gate = gate
        self._chunks = self._asked = 0
        self._answered = False
        self._head_timer: asyncio.TimerHandle | None = None
        super().__init__(client)

    def expect_head(self, seconds: float) -> None:
        """Close when no head has come by then; whoever has begun one is told."""
        self._head_timer = asyncio.get_running_loop().call_later(seconds, self._end_slow_head)

    def _end_slow_head(self) -> None:
        if self.has_read:
            self.refuse(Problem("too_slow", "the head of the request comes too slowly"))
        else:
            self.abort()

    def begin(self, version: str) -> None:
        self._cancel_head_timer()
        super().begin(version)

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read a head, which alone ends at a pattern."""
        return asyncio.ensure_future(self._head(super().read_until_regex(regex, max_bytes)))

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read the line before a chunk, which alone ends at a delimiter."""
        self._look_whether_it_is_over()
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self._asked < self._chunks * CHUNK_BYTES:
            detail = f"the chunks are too small, {CHUNK_BYTES} bytes on average are expected"
            self.refuse(Problem("bad_body", detail))
            raise StreamClosedError
        reading = super().read_until(delimiter, max_bytes)
        return reading if self._chunks % CHUNKS_A_TURN else self._in_turn(reading)

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[bytes]:
        self._look_whether_it_is_over()
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
        """Close; an answer that has come before the end of its body is to be seen first."""
        self._cancel_head_timer()
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self.refuse_what_is_too_long()
        if self._answered and self.body_open and not self.closed():
            self.body_open = False
            with suppress(OSError):  # it is gone, or there are no more open files
                Drain(socket.socket(fileno=os.dup(self.socket.fileno())), self._gate)
        super().close(exc_info)

    def abort(self) -> None:
        self.body_open = False
        self.close()

    def refuse(self, problem: Problem) -> None:
        """Answer in place of a handler, and close."""
        if not self.closed():
            self.body_open = True  # more may come
            self.write(last_answer(problem)).add_done_callback(lambda _: self.close())

    async def _head(self, reading: Awaitable[bytes]) -> bytes:
        head = await reading
        self._chunks = self._asked = 0
        self._answered = False
        if excess := _excess(head.lstrip(b"\r\n")):
            self.refuse(Problem("head_too_large", excess))
            raise StreamClosedError
        await self._gate.admit(self, head)
        if self.closed():  # it gave way to another, or went, before its turn
            raise StreamClosedError
        return head

    def _look_whether_it_is_over(self) -> None:
        """Tornado would read what is in its buffer on, for nobody: some 10,000 chunks of a byte."""
        if self._answered and self.closed():
            raise StreamClosedError

    def _cancel_head_timer(self) -> None:
        """A timer keeps what it would close in memory."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _in_turn(self, reading: Awaitable[bytes]) -> Awaitable[bytes]:
        return asyncio.ensure_future(self._piece(reading))

    async def _piece(self, reading: Awaitable[bytes]) -> bytes:
        piece = await reading
        await self._gate.next_piece()
        return piece


class TlsConnection(Connection, SSLIOStream):
    """The same over TLS."""


def _excess(head: bytes) -> str | None:
    lines, target = head.count(b"\n"), head.find(b"\n")
    if lines > HEAD_LINES:
        return f"the request has {lines} lines of headers, the limit is {HEAD_LINES}"
    if target > TARGET_BYTES:
        return f"the request's target has {target} bytes, the limit is {TARGET_BYTES}"
    if head.count(b"&", 0, target) > QUERY_MEMBERS:
        return f"the query has more than {QUERY_MEMBERS} members"
    return None
