"""Collects a request's body as it streams in, within bounds. No I/O here."""

from visionfleet.web.problems import Problem


class Body:
    """One body. What is over `limit` is counted and thrown away.

    A client that still sends does not read, so an answer in the midst of its upload is often
    lost. So the rest is read, up to `patience` bytes in all; beyond them nobody need listen.
    """

    def __init__(self, limit: int, patience: int) -> None:
        self._limit = limit
        self._patience = max(limit, patience)
        self._bytes = bytearray()
        self._seen = 0

    def add(self, chunk: bytes) -> None:
        """Take the next piece in."""
        self._seen += len(chunk)
        if self._seen <= self._limit:
            self._bytes += chunk
        else:
            self._bytes.clear()

    def declare(self, length: int, asks_first: bool) -> None:
        """Look at a Content-Length; raises Problem when the upload must not even begin.

        `asks_first` is a client with `Expect: 100-continue`: it sends nothing until told to.
        """
        if length > self._patience or (asks_first and length > self._limit):
            raise self._too_large(str(length))

    @property
    def seen(self) -> int:
        """Count the bytes that came."""
        return self._seen

    @property
    def exhausting(self) -> bool:
        """Tell whether more came than is worth reading."""
        return self._seen > self._patience

    def take(self) -> bytes:
        """Hand the whole body out and forget it; raises Problem when it was too large."""
        if self._seen > self._limit:
            raise self._too_large(str(self._seen))
        taken, self._bytes = bytes(self._bytes), bytearray()
        return taken

    def too_large(self) -> Problem:
        """Make the problem of a body of which the end was not seen."""
        return self._too_large(f"more than {self._seen}")

    def _too_large(self, length: str) -> Problem:
        return Problem("too_large", f"the body has {length} bytes, the limit is {self._limit}")
