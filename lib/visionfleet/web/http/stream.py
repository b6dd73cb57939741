"""Connections as real clients use them: half-closed, with chunk extensions and trailers.

Tornado treats a half-close as the end of the connection, and answers malformed HTTP with a bare
400.
"""

import asyncio
import json
import re
import socket
import sys
from collections.abc import Awaitable
from http import HTTPStatus

from tornado.concurrent import Future, future_add_done_callback
from tornado.httputil import HTTPInputError
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from visionfleet.web.http.head import HEADER_BYTES, empty_bytes, fault_of_head, measured
from visionfleet.web.problems import PROBLEM_TYPE, Problem

# The interval of checks whether a half-closed client is still there.
LOOK_SECONDS = 1.0
# After this time it gets an interim response: a client that has gone replies with a reset.
PROBE_SECONDS = 10.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Limits a chunk's size line with its extensions, and the trailers of a body.
CHUNK_LINE_BYTES = 1024
TRAILER_BYTES = 4096
_BARE_CONTINUE = b"HTTP/1.1 100 (Continue)\r\n\r\n"
_BARE_REFUSAL = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_CLOSED = 7  # TCP_CLOSE, tcp_states.h
_CRLF = b"\r\n"
_LAST_CHUNK = re.compile(rb"0+\r\n")
_TRAILER = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\r\n\0]*\r\n")


class _RefusedHead(UnsatisfiableReadError):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class ClientStream(IOStream):
    """One client connection; the server says when a request begins, and by `body_open` that its
    body is still arriving.
    """

    def __init__(self, client: socket.socket) -> None:
        self.body_open = False
        self.has_read = False
        self._end = b""  # the end of the body, held back until its trailers are read
        self._skipping: asyncio.Future[None] | None = None  # reads the trailers
        self._is_silent = True  # nothing of the current response has been written
        self._version = ""
        self._checks = False
        super().__init__(client)

    def begin(self, version: str) -> None:
        self._is_silent = True
        self._version = version

    def unread(self, data: bytearray) -> None:
        """Have this read first."""
        self._read_buffer += data
        self._read_buffer_size += len(data)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read; an EOF between reads does not close: a half-closed client gets its response."""
        count = super().read_from_fd(buf)
        if count != 0:
            self.has_read |= count is not None
            return count
        if not self.reading():
            self.io_loop.add_callback(self._stop_reading)
            return None
        if self.body_open and self._is_silent:
            self._answer_last("bad_body", "the body is shorter than its headers say")
        return count

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read a chunk's size line without its extensions (RFC 9112, 7.1.1)."""
        whole = super().read_until(delimiter, max(max_bytes or 0, CHUNK_LINE_BYTES))
        assert isinstance(whole, Future)
        bare: Future[bytes] = Future()

        def cut(line: Future[bytes]) -> None:
            if error := line.exception():
                bare.set_exception(error)
                bare.exception()
                return
            first = without_extensions(line.result())
            if _LAST_CHUNK.fullmatch(first):
                self._skipping = asyncio.ensure_future(self._skip_trailers(bare))
            else:
                bare.set_result(first)

        future_add_done_callback(whole, cut)
        return bare

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[bytes]:
        """Read; what ends a body was read with its trailers."""
        if not self._end:
            return super().read_bytes(num_bytes, partial)
        read: Future[bytes] = Future()
        read.set_result(self._end)
        self._end = b""
        return read

    async def _skip_trailers(self, last: "Future[bytes]") -> None:
        """Read what follows the last chunk; fields there may be ignored (RFC 9112, 7.1.2)."""
        room, line = TRAILER_BYTES, b""
        try:
            while room and (line := await super().read_until(_CRLF, room)) != _CRLF:
                room = room - len(line) if _TRAILER.fullmatch(line) else 0
        except (StreamClosedError, UnsatisfiableReadError) as error:
            last.set_exception(error)
            last.exception()
        else:
            self._end = line[:2]
            last.set_result(b"0\r\n")

    def write(self, data: bytes | memoryview) -> "Future[None]":
        """Write; replaces Tornado's bare 400 by a problem document with `Connection: close`."""
        if data == _BARE_CONTINUE:
            return super().write(CONTINUE)
        self._is_silent = False
        if data == _BARE_REFUSAL:
            fault = sys.exception()
            reason = str(fault)[:200] if isinstance(fault, HTTPInputError) else ""
            detail = f"this is not a request as in HTTP/1.1: {reason}"
            self.body_open = True  # the client may still be sending
            data = last_answer(Problem("bad_parameter", detail))
        return super().write(data)

    def _find_read_pos(self) -> int | None:
        """Refuse bad headers as soon as they show, and skip empty lines before a request."""
        if self._read_regex is None:  # Tornado reads headers with this, and nothing else
            return super()._find_read_pos()
        first = bytes(self._read_buffer[:HEADER_BYTES])
        if problem := fault_of_head(first):
            raise _RefusedHead(problem)
        if (empty := empty_bytes(first)) == len(first):
            return None
        self._consume(empty)
        return measured(first[empty:])[0]

    def refuse_what_cannot_be_read(self, error: UnsatisfiableReadError) -> None:
        if isinstance(error, _RefusedHead):
            self._answer_last(error.problem.code, error.problem.detail)
        elif self._is_silent:
            self._answer_last("bad_body", "the first line of a chunk, or a trailer, is too long")

    def _answer_last(self, code: str, detail: str) -> None:
        self.body_open = True  # the client may still be sending
        self.write(last_answer(Problem(code, detail)))

    def _stop_reading(self) -> None:
        """Stop reading, or the loop would report the EOF over and over."""
        if self.closed() or self.reading():
            return
        if self._state is not None:
            self.io_loop.remove_handler(self.socket)
            self._state = None
        if self.writing():
            self._add_io_state(self.io_loop.WRITE)
        if not self._checks:
            self._checks = True
            # Detects a client that is gone while nothing is written to it.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(PROBE_SECONDS))
            self._close_if_gone(0.0)

    def _close_if_gone(self, seconds: float) -> None:
        """Close if the client has closed its side completely."""
        if self.closed():
            return
        if self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
            self.close()
            return
        if seconds == PROBE_SECONDS and self._is_silent and self._version != "HTTP/1.0":
            self.write(_BARE_CONTINUE)
        later = asyncio.get_running_loop().call_later
        later(LOOK_SECONDS, self._close_if_gone, seconds + LOOK_SECONDS)


def without_extensions(line: bytes) -> bytes:
    """Strip chunk extensions; bare line ends in them remain an error."""
    length, semicolon, more = line[:-2].partition(b";")
    is_odd = b"\n" in more or b"\r" in more
    return length.rstrip(b" \t") + b"\r\n" if semicolon and not is_odd else line


def last_answer(problem: Problem) -> bytes:
    body = json.dumps(problem.document()).encode()
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: {PROBLEM_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
