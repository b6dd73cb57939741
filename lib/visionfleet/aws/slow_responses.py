"""Limits the time that a whole response may take.

A read timeout alone limits only the time between two reads: a server that sends a byte now and then
would hold a thread for hours.
"""

import http.client
import time
from io import BufferedReader
from socket import SocketIO
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Large responses get a second more for so many bytes.
BYTES_PER_SECOND = 64 << 10


class LimitedReader(SocketIO):
    """Reads responses from a socket; waiting for one may take `seconds` and its large size."""

    def __init__(self, sock: Any, seconds: float) -> None:
        super().__init__(sock, "r")
        sock._io_refs += 1  # as by makefile; closing this subtracts it again
        self._sock: Any = sock
        self._seconds = self._left_seconds = seconds

    def renew(self) -> None:
        """Begin with the next response."""
        self._left_seconds = self._seconds

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        if self._left_seconds <= 0:
            raise TimeoutError("the response comes too slowly")
        self._sock.settimeout(self._left_seconds)
        started = time.monotonic()
        count = super().readinto(buffer)
        left = self._left_seconds - (time.monotonic() - started) + (count or 0) / BYTES_PER_SECOND
        self._left_seconds = min(self._seconds, left)
        return count


class _LimitedResponse(http.client.HTTPResponse):
    """Limited by the timeout that its socket has."""

    def __init__(self, sock: Any, *given: Any, **more: Any) -> None:
        super().__init__(sock, *given, **more)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp.close()
            self.fp = BufferedReader(LimitedReader(sock, seconds))


def limit_urllib3() -> None:
    """Limit all responses that urllib3 reads in this process, and so those of botocore, of its
    credentials too. Idempotent. botocore has no other place for it.
    """
    HTTPConnection.response_class = _LimitedResponse
