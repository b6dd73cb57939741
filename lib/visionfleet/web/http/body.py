"""A request's body as it streams in: within bounds, and the files found in it. No I/O here."""

import re
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from visionfleet.web.jobs.answers import Upload
from visionfleet.web.load.admission import Refusal
from visionfleet.web.load.memory_budget import MemoryBudget, Share
from visionfleet.web.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# Files in one request: an hour of photos is several requests, and one stays within its body.
MAX_FILES = 32
# Form fields that are no files, and the text before the first boundary, count as parts too.
OTHER_PARTS = 20
# The longest name of a file on Linux; it also fits into an S3 key with its prefix.
NAME_BYTES = 255

# Control characters, halves of a surrogate pair, and the two that are no characters.
_NO_LETTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_HINT = (
    "send multipart/form-data with a file in any field, "
    "or the image itself with its own Content-Type"
)


class FormFile(NamedTuple):
    file_name: str
    data: bytes


class Whole:
    """A body that is one piece, as JSON is."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Take the next piece in; raises Problem when the rest need not come."""
        self._pieces.append(chunk)

    def end(self) -> list[FormFile]:
        """Give the files, at least one; raises Problem `no_file`, `too_many_files`, `bad_body`."""
        return [FormFile("", b"".join(self._pieces))]


class RawFile(Whole):
    def __init__(self, media_type: str) -> None:
        super().__init__()
        self._media_type = media_type

    def add(self, chunk: bytes) -> None:
        # RFC 9110, 8.3: a body without a type may be taken for application/octet-stream.
        known = {"application/octet-stream", ""}
        if not (self._media_type.startswith("image/") or self._media_type in known):
            raise Problem("no_file", f"a body of type {self._media_type} holds no file; {_HINT}")
        super().add(chunk)

    def end(self) -> list[FormFile]:
        if not self._pieces:
            raise Problem("no_file", f"the request has no body; {_HINT}")
        return super().end()


class Form:
    """A form, of which only the files are kept. It is read as it comes: an 80 MB form that is
    parsed at its end would hold up all other requests, and be three times in memory.
    """

    def __init__(self, content_type: str, max_files: int) -> None:
        self._max_files = max_files
        self._files: list[FormFile] = []
        self._parts = 0
        self._field, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._pieces: list[bytes] | None = None
        self._ended = False
        self._parser: MultipartParser | None = None
        self._content_type = content_type

    def add(self, chunk: bytes) -> None:
        try:
            if self._parser is None:
                self._parser = MultipartParser(_boundary(self._content_type), self._callbacks())
            self._parser.write(chunk)
        except (FormParserError, ValueError) as error:
            raise Problem("bad_body", f"the multipart body cannot be read: {error}") from error

    def end(self) -> list[FormFile]:
        if not self._ended:
            raise Problem("bad_body", "the multipart body ends before its last boundary")
        if not self._files:
            raise Problem("no_file", f"the form has no file; {_HINT}")
        return self._files

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add_data,
            "on_part_end": self._end_part,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._parts += 1
        maximum = self._max_files + OTHER_PARTS
        if self._parts > maximum:
            raise ValueError(f"more than {maximum} parts")
        self._headers = {}

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _end_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition")
        if disposition is None:
            raise ValueError("a part has no Content-Disposition")
        self._name = file_name(disposition)
        self._pieces = [] if self._name else None
        if self._name and len(self._files) == self._max_files:
            raise Problem("too_many_files", f"more files than {self._max_files}")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._pieces is not None:
            self._pieces.append(data[start:end])

    def _end_part(self) -> None:
        if self._pieces is not None:
            self._files.append(FormFile(base_name(self._name), b"".join(self._pieces)))
        self._pieces = None

    def _end(self) -> None:
        self._ended = True


Reader = Whole | Form


def file_reader(content_type: str, max_files: int = MAX_FILES) -> Reader:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return Form(content_type, max_files)
    return RawFile(media_type)


class Body:
    """One body. What is over `limit`, or refused for another reason, is counted and thrown away.

    A client that still sends does not read an answer, so the rest is read, up to `patience` bytes.
    `excess` is beyond that; who `asks_first` sends nothing until told to (`Expect: 100-continue`).
    """

    def __init__(
        self,
        reader: Reader,
        budget: MemoryBudget,
        limit: int,
        patience: int,
        declared: int = 0,
        asks_first: bool = False,
    ) -> None:
        self._reader: Reader | None = reader
        self._limit = limit
        self._patience = max(limit, patience)
        self._refused: Problem | Refusal | None = None
        self.memory: Share | None = Share(budget)
        self.seen = 0
        self.excess: Problem | None = None
        if declared > self._patience or (asks_first and declared > limit):
            self.excess = self._too_large(str(declared))

    def add(self, chunk: bytes) -> None:
        self.seen += len(chunk)
        if self.seen > self._patience:
            self.excess = self._too_large(f"more than {self.seen}")
        if self.seen > self._limit or self._reader is None or self.memory is None:
            self.close()
            return
        try:
            self._reader.add(chunk)
            self.memory.add(len(chunk))
        except (Problem, Refusal) as refused:
            self.refuse(refused)

    def refuse(self, refused: Problem | Refusal) -> None:
        self._refused = refused
        self.close()

    def take(self) -> bytes:
        """Give the whole body, which stays counted until it is closed; raises Problem, Refusal."""
        return self._end()[0].data

    def files(self) -> list[Upload]:
        """Hand the files out, each with its share of the memory; raises Problem, Refusal."""
        files, memory = self._end(), self.memory
        assert memory is not None
        self.memory = None
        shares = [memory, *(memory.split(len(file.data)) for file in files[1:])]
        return [Upload(*file, share) for file, share in zip(files, shares, strict=True)]

    def part(self, data: bytes) -> Upload:
        assert self.memory is not None
        return Upload("", data, self.memory.split(len(data)))

    def close(self) -> None:
        """Forget what was kept; again does no harm."""
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


def file_name(disposition: bytes) -> str:
    """Find the file's name in a Content-Disposition, whichever way it is written there."""
    message = Message()
    message["content-disposition"] = disposition.decode("latin-1")
    value = message.get_param("filename", "", "content-disposition")
    if isinstance(value, tuple):  # filename*=utf-8''caf%C3%A9.png
        return collapse_rfc2231_value(value)
    return str(value).encode("latin-1", "replace").decode("utf-8", "replace")


def base_name(file_name: str) -> str:
    """Cut folders off, as old browsers send them, and what is longer than a file name can be.

    So are control characters, and what XML 1.0 lacks: names go far.
    """
    base = _NO_LETTER.sub("", file_name.replace("\\", "/").rsplit("/", 1)[-1])
    cut = base.encode()[:NAME_BYTES].decode("utf-8", "ignore")
    return cut if cut.strip(".") else ""


def _boundary(content_type: str) -> bytes:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary" and value:
            return value.strip('"').encode("latin-1", "replace")
    raise ValueError("no boundary in the Content-Type")
