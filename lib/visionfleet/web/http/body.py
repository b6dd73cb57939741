"""Collects a request's body as it streams in, within bounds. No I/O here."""

from visionfleet.web.http.multipart import Reader, Upload
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.problems import Problem


class Body:
    """One body. What is over `limit`, or refused for another reason, is counted and thrown away.

    A client that still sends does not read, so an answer in the midst of its upload is often
    lost. So the rest is read, up to `patience` bytes in all; beyond them nobody need listen.
    """

    def __init__(self, limit: int, patience: int, held: MemoryBudget) -> None:
        self._limit = limit
        self._patience = max(limit, patience)
        self._held = held
        self._kept = 0
        self._refused: Problem | None = None
        self._bytes = bytearray()
        self.seen = 0

    def add(self, chunk: bytes) -> None:
        """Take the next piece in."""
        self.seen += len(chunk)
        if self.seen > self._limit or self._refused is not None:
            self.drop()
            return
        try:
            self._held.add(len(chunk))
            self._kept += len(chunk)
            self._keep(chunk)
        except Problem as problem:
            self.refuse(problem)

    def refuse(self, problem: Problem) -> None:
        """Keep nothing of it, for this reason."""
        self._refused = problem
        self.drop()

    def declare(self, length: int, asks_first: bool) -> None:
        """Look at a Content-Length; raises Problem when the upload must not even begin.

        `asks_first` is a client with `Expect: 100-continue`: it sends nothing until told to.
        """
        if length > self._patience or (asks_first and length > self._limit):
            raise self._too_large(str(length))

    @property
    def exhausting(self) -> bool:
        """Tell whether more came than is worth reading."""
        return self.seen > self._patience

    def take(self) -> bytes:
        """Hand the whole body out and forget it; raises Problem when it was refused."""
        self._check()
        taken = bytes(self._bytes)
        self.drop()
        return taken

    def too_large(self) -> Problem:
        """Make the problem of a body of which the end was not seen."""
        return self._too_large(f"more than {self.seen}")

    def drop(self) -> None:
        """Forget what was kept; again does no harm."""
        self._held.remove(self._kept)
        self._kept = 0
        self._forget()

    def _keep(self, chunk: bytes) -> None:
        self._bytes += chunk

    def _forget(self) -> None:
        self._bytes = bytearray()

    def _check(self) -> None:
        if self.seen > self._limit:
            raise self._too_large(str(self.seen))
        if self._refused is not None:
            raise self._refused

    def _too_large(self, length: str) -> Problem:
        return Problem("too_large", f"the body has {length} bytes, the limit is {self._limit}")


class Files(Body):
    """A body with files, which are found while it streams in."""

    def __init__(self, limit: int, patience: int, held: MemoryBudget, reader: Reader) -> None:
        super().__init__(limit, patience, held)
        self._reader: Reader | None = reader

    def files(self) -> list[Upload]:
        """Hand the files out and forget them; raises Problem."""
        self._check()
        assert self._reader is not None
        found = self._reader.end()
        self.drop()
        return found

    def _keep(self, chunk: bytes) -> None:
        assert self._reader is not None
        self._reader.add(chunk)

    def _forget(self) -> None:
        self._reader = None
