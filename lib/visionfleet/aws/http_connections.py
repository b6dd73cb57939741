"""Minimal HTTP/1.1 over pooled connections, for the least CPU per call.

urllib3 connects; its and http.client's handling of requests, headers and responses takes three
times as long.
"""

import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Url
from urllib3.util.ssl_ import create_urllib3_context

from visionfleet.aws.slow_responses import LimitedReader

# Larger bodies are sent separately from the headers, to avoid a copy.
_LARGE_BYTES = 64 << 10
_LINE_BYTES = 64 << 10
_MOST_HEADERS = 100
_WITHOUT_BODY = {204, 304}


class BadAnswerError(Exception):
    """A response that is incomplete, or not as AWS sends it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_seconds: float
    read_seconds: float  # of a response, and more for large ones


class _Connection:
    def __init__(self, made: HTTPConnection, read_timeout_seconds: float) -> None:
        made.connect()
        self._made = made
        self._read_timeout_seconds = read_timeout_seconds
        self._reader = LimitedReader(made.sock, read_timeout_seconds)
        self._file = BufferedReader(self._reader)

    def alive(self) -> bool:
        """Whether it can be reused: any readable data means that it was closed."""
        return self._made.is_connected

    def close(self) -> None:
        self._file.close()
        self._made.close()

    def exchange(self, head: bytes, body: bytes) -> tuple[HttpAnswer, bool]:
        """Send a request; also returns whether the connection can be kept."""
        socket: Any = self._made.sock
        socket.settimeout(self._read_timeout_seconds)
        self._reader.renew()
        if len(body) < _LARGE_BYTES:
            socket.sendall(b"".join((head, body)))
        else:
            socket.sendall(head)
            socket.sendall(body)
        version, status = _status(self._line())
        headers = self._headers()
        answer = HttpAnswer(status, headers, self._body(status, headers))
        kept = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        return answer, kept

    def _line(self) -> str:
        line = self._file.readline(_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise BadAnswerError(f"no whole line: {line[:100]!r}")
        return line.rstrip(b"\r\n").decode("latin-1")

    def _headers(self) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        while line := self._line():
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or name != name.strip() or len(headers) == _MOST_HEADERS:
                raise BadAnswerError(f"no header: {line[:100]!r}")
            value = value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in _WITHOUT_BODY:
            return b""
        if "content-encoding" in headers:
            raise BadAnswerError("encoded, which was not asked for")
        if (coding := headers.get("transfer-encoding")) is not None:
            if coding.lower() != "chunked":
                raise BadAnswerError(f"transfer encoding {coding}")
            return self._chunks()
        return self._exactly(_number(headers.get("content-length", ""), 10))

    def _chunks(self) -> bytes:
        chunks = []
        while length := _number(self._line().partition(";")[0].strip(), 16):
            chunks.append(self._exactly(length))
            if self._line():
                raise BadAnswerError("no end of a chunk")
        self._headers()
        return b"".join(chunks)

    def _exactly(self, length: int) -> bytes:
        body = self._file.read(length)
        if len(body) != length:
            raise BadAnswerError(f"{len(body)} bytes of {length}")
        return body


class HttpConnections:
    """A connection pool of one host, thread-safe; at most `most` are kept idle."""

    def __init__(self, url: Url, timeouts: Timeouts, most: int, ca_certs: str) -> None:
        self._url, self._timeouts, self._most = url, timeouts, most
        self._ca_certs = ca_certs
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def exchange(self, head: bytes, body: bytes) -> HttpAnswer:
        """Send a request and read the response; raises any kind of exception."""
        connection = self._idle_one() or self._new_one()
        kept = False
        try:
            answer, kept = connection.exchange(head, body)
        except TimeoutError:
            # What silenced this one, such as a firewall, has silenced the idle ones too.
            _close_all(self._idle)
            raise
        finally:
            if kept and len(self._idle) < self._most:
                self._idle.append(connection)
            else:
                connection.close()
        return answer

    def _idle_one(self) -> _Connection | None:
        while True:
            try:
                connection = self._idle.pop()  # the most recently used one
            except IndexError:
                return None
            if connection.alive():
                return connection
            connection.close()

    def _new_one(self) -> _Connection:
        assert self._url.host
        where: Any = {"host": self._url.host.strip("[]"), "port": self._url.port}
        where["timeout"] = self._timeouts.connect_seconds
        made: HTTPConnection
        if self._url.scheme == "https":
            made = HTTPSConnection(**where, ssl_context=self._trust)
        else:
            made = HTTPConnection(**where)
        try:
            return _Connection(made, self._timeouts.read_seconds)
        except BaseException:
            made.close()
            raise

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = create_urllib3_context()
        context.load_verify_locations(self._ca_certs)
        return context


def _close_all(idle: deque[_Connection]) -> None:
    while idle:
        idle.pop().close()


def _status(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    status = _number(rest[:3], 10)
    if not version.startswith("HTTP/1.") or status < 200:
        raise BadAnswerError(f"no status: {line[:100]!r}")
    return version, status


def _number(text: str, base: int) -> int:
    try:
        if text.isalnum():  # no sign or space
            return int(text, base)
    except ValueError:
        pass
    raise BadAnswerError(f"no number: {text[:100]!r}")
