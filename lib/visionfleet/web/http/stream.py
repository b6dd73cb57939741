"""Connections as clients use them: half closed, with chunk extensions and trailers.

Tornado takes the end of what a client sends for the end of the connection, and answers what is no
HTTP with a bare 400.
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

from visionfleet.web.problems import PROBLEM_TYPE, Problem

# Who has sent an end of stream and waits is asked so often whether it is still there.
LOOK_SECONDS = 1.0
# And is sent an interim answer after this long, which only who has left answers, with a reset.
PROBE_SECONDS = 10.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# The length of a chunk and its extensions, and all trailers of a body.
CHUNK_LINE_BYTES = 1024
TRAILER_BYTES = 4096
_BARE_CONTINUE = b"HTTP/1.1 100 (Continue)\r\n\r\n"
_BARE_REFUSAL = b"HTTP/1.1 400 Bad Request\r\n\r\n"
_CLOSED = 7  # TCP_CLOSE, tcp_states.h
_CRLF = b"\r\n"
_LAST_CHUNK = re.compile(rb"0+\r\n")
_TRAILER = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+:[^\r\n\0]*\r\n")


class ClientStream(IOStream):
    """One connection of a client; the server says when a request begins, and that its body is
    `body_open`, still to come.
    """

    def __init__(self, client: socket.socket) -> None:
        self.body_open = False
        self.has_read = False
        self._end = b""  # of the body, as it is said after its trailers
        self._skipping: asyncio.Future[None] | None = None  # reads them
        self._is_silent = True  # nothing of the answer to the present request is written
        self._version = ""
        self._looks = False
        super().__init__(client)

    def begin(self, version: str) -> None:
        self._is_silent = True
        self._version = version

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read; an end of stream between reads closes nothing: who half-closed gets its answer."""
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
        """Read the first line of a chunk, without its extensions (RFC 9112, 7.1.1)."""
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
        """Write; in place of Tornado's bare refusal one that says why, and that it is the last."""
        if data == _BARE_CONTINUE:
            return super().write(CONTINUE)
        self._is_silent = False
        if data == _BARE_REFUSAL:
            fault = sys.exception()
            reason = str(fault)[:200] if isinstance(fault, HTTPInputError) else ""
            detail = f"this is not a request as in HTTP/1.1: {reason}"
            self.body_open = True  # more may come
            data = last_answer(Problem("bad_parameter", detail))
        return super().write(data)

    def refuse_what_is_too_long(self) -> None:
        if not self.body_open:
            self._answer_last("head_too_large", "the request line and the headers are too long")
        elif self._is_silent:
            self._answer_last("bad_body", "the first line of a chunk, or a trailer, is too long")

    def _answer_last(self, code: str, detail: str) -> None:
        self.body_open = True  # more may come
        self.write(last_answer(Problem(code, detail)))

    def _stop_reading(self) -> None:
        """Read no more, else the loop would be told of the end again and again."""
        if self.closed() or self.reading():
            return
        if self._state is not None:
            self.io_loop.remove_handler(self.socket)
            self._state = None
        if self.writing():
            self._add_io_state(self.io_loop.WRITE)
        if not self._looks:
            self._looks = True
            # Finds who has left and gets nothing written, when its kernel has forgotten it.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, int(PROBE_SECONDS))
            self._look(0.0)

    def _look(self, seconds: float) -> None:
        """Close when the client has not only ended its part but left."""
        if self.closed():
            return
        if self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSED:
            self.close()
            return
        if seconds == PROBE_SECONDS and self._is_silent and self._version != "HTTP/1.0":
            self.write(_BARE_CONTINUE)
        later = asyncio.get_running_loop().call_later
        later(LOOK_SECONDS, self._look, seconds + LOOK_SECONDS)


def without_extensions(line: bytes) -> bytes:
    """Cut them off the first line of a chunk; what may end the line for others stays a fault."""
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
