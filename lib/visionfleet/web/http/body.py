"""Reads a request body incrementally, within limits, and extracts its files. No I/O here."""

from visionfleet.imaging.formats import is_file
from visionfleet.web.http.encodings import CONTENT_ENCODINGS, Inflate, content_encoding
from visionfleet.web.http.form import HINT, MAX_FILES, Form, FormFile, keep
from visionfleet.web.http.json_body import JsonBody
from visionfleet.web.jobs.answers import Upload
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import MemoryBudget, Share
from visionfleet.web.problems import Problem

# An image format is recognized by at most this many bytes.
HEAD_BYTES = 256


class Whole:
    """A body that is one piece, such as JSON."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, chunk: bytes) -> int:
        """Consume a chunk; returns how many bytes are kept. Raises Problem to refuse the body."""
        keep(self._pieces, chunk)
        return len(chunk)

    def end(self) -> list[FormFile]:
        """The files, at least one; raises Problem `no_file`, `too_many_files`, `bad_body`."""
        return [FormFile("", b"".join(self._pieces))]


class RawFile(Whole):
    """The image itself. Some, as `curl --data-binary`, call it a form: its first bytes decide."""

    def __init__(self, media_type: str) -> None:
        super().__init__()
        self._media_type = media_type
        # RFC 9110, 8.3: no Content-Type may mean application/octet-stream.
        known = {"application/octet-stream", "binary/octet-stream", ""}
        self._is_known = media_type.startswith("image/") or media_type in known

    def add(self, chunk: bytes) -> int:
        kept = super().add(chunk)
        if not self._is_known and sum(map(len, self._pieces)) >= HEAD_BYTES:
            self._look()
        return kept

    def end(self) -> list[FormFile]:
        if not any(self._pieces):
            raise Problem("no_file", f"the request has no body; {HINT}")
        self._look()
        return super().end()

    def _look(self) -> None:
        self._pieces = [b"".join(self._pieces)]
        if not (self._is_known or is_file(self._pieces[0])):
            detail = f"a body of type {self._media_type[:80]} holds no image that is known"
            raise Problem("no_file", f"{detail}; {HINT}")
        self._is_known = True


class Inflated:
    def __init__(self, reader: "Plain", encoding: str) -> None:
        self._reader = reader
        self._encoding = encoding
        self._inflate = Inflate(encoding)

    def add(self, chunk: bytes) -> int:
        try:
            return sum(self._reader.add(piece) for piece in self._inflate.add(chunk))
        except ValueError as error:
            raise self._bad(error) from error

    def end(self) -> list[FormFile]:
        try:
            self._inflate.end()
        except ValueError as error:
            raise self._bad(error) from error
        return self._reader.end()

    def _bad(self, error: ValueError) -> Problem:
        return Problem(
            "bad_body", f"the body is not the {self._encoding} it is said to be: {error}"
        )


class Unreadable(Whole):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        known = ", ".join(CONTENT_ENCODINGS)
        detail = (
            f"Content-Encoding: {encoding[:40]} is not known; send the body as it is, or in {known}"
        )
        self._problem = Problem("unknown_encoding", detail, headers={"Accept-Encoding": known})

    def add(self, _chunk: bytes) -> int:
        raise self._problem

    def end(self) -> list[FormFile]:
        raise self._problem


Plain = Whole | Form | JsonBody
Reader = Plain | Inflated


def file_reader(content_type: str, max_files: int = MAX_FILES) -> Whole | Form:
    media_type = media_type_of(content_type)
    if media_type == "multipart/form-data":
        return Form(content_type, max_files)
    return RawFile(media_type)


def decoded(reader: Plain, header: str) -> Reader:
    encoding = content_encoding(header)
    if encoding is None:
        return Unreadable(header)
    return Inflated(reader, encoding) if encoding else reader


def media_type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


class Body:
    """A body; once it exceeds `limit` or is refused, the rest is discarded.

    A client that is still sending does not read the response, so the rest is read before it, up to
    `discard_limit` bytes; beyond that `excess` is set. `asks_first`: the client waits for `100
    Continue`.
    """

    def __init__(
        self,
        reader: Reader,
        budget: MemoryBudget,
        limit: int,
        discard_limit: int,
        declared: int = 0,
        asks_first: bool = False,
    ) -> None:
        self._reader: Reader | None = reader
        self._limit = limit
        self._discard_limit = max(limit, discard_limit)
        self._refused: Problem | Refusal | None = None
        self.memory: Share | None = Share(budget)
        self.seen = 0
        self._kept = 0
        self.excess: Problem | None = None
        if declared > self._discard_limit or (asks_first and declared > limit):
            self.excess = self._too_large(str(declared))

    def add(self, chunk: bytes) -> None:
        self.seen += len(chunk)
        if self.seen > self._discard_limit:
            self.excess = self._too_large(f"more than {self.seen}")
        if self.seen > self._limit or self._reader is None or self.memory is None:
            self.close()
            return
        try:
            kept = self._reader.add(chunk)
            self._kept += kept
            if self._kept > self._limit:
                raise self._too_large(f"more than {self._kept}")
            self.memory.add(kept)
        except (Problem, Refusal) as refused:
            self.refuse(refused)

    def refuse(self, refused: Problem | Refusal) -> None:
        self._refused = refused
        self.close()

    def take(self) -> list[bytes]:
        """The data, which counts against the budget until closed; raises Problem, Refusal."""
        return [file.data for file in self._end()]

    def files(self) -> list[Upload]:
        """The files, each with its share of the memory budget; raises Problem, Refusal."""
        files, memory = self._end(), self.memory
        assert memory is not None
        self.memory = None
        shares = [memory, *(memory.split(len(file.data)) for file in files[1:])]
        return [Upload(*file, share) for file, share in zip(files, shares, strict=True)]

    def part(self, data: bytes, file_name: str = "") -> Upload:
        assert self.memory is not None
        return Upload(file_name, data, self.memory.split(len(data)))

    def close(self) -> None:
        """Discard the data; idempotent."""
        self._refused = self._refused or Problem("bad_body", "the body was given up")
        self._reader = None
        if self.memory is not None:
            self.memory.close()

    def _end(self) -> list[FormFile]:
        if self.seen > self._limit:
            raise self._too_large(str(self.seen))
        if self._refused is not None:
            raise self._refused
        assert self._reader is not None
        return self._reader.end()

    def _too_large(self, length: str) -> Problem:
        return Problem("too_large", f"the body has {length} bytes, the limit is {self._limit}")
