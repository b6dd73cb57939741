"""From a request's body to the files in it, piece by piece as it streams in. No I/O here."""

from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, Protocol

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from visionfleet.web.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# Form fields that are no files, and the text before the first boundary, count as parts too.
OTHER_PARTS = 20
# The longest name of a file on Linux; it also fits into an S3 key with its prefix.
NAME_BYTES = 255

_HINT = (
    "send multipart/form-data with a file in any field, "
    "or the image itself with its own Content-Type"
)


@dataclass(frozen=True, slots=True)
class Upload:
    """One uploaded file. `file_name` has no folders, and is empty for a raw body."""

    file_name: str
    content_type: str
    data: bytes


class Reader(Protocol):
    """Finds the files in a body."""

    def add(self, chunk: bytes) -> None:
        """Take the next piece in; raises Problem when the rest need not come."""

    def end(self) -> list[Upload]:
        """Give the files in the order they were sent, at least one.

        Raises Problem with code `no_file`, `too_many_files` or `bad_body`.
        """


def reader(content_type: str, max_files: int) -> Reader:
    """Choose how a body of this type is read."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return _Form(content_type, max_files)
    return _Raw(media_type)


class _Raw:
    """A body that is one file."""

    def __init__(self, media_type: str) -> None:
        self._media_type = media_type
        self._pieces: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        # RFC 9110, 8.3: a body without a type may be taken for application/octet-stream.
        known = {"application/octet-stream", ""}
        if not (self._media_type.startswith("image/") or self._media_type in known):
            raise Problem("no_file", f"a body of type {self._media_type} holds no file; {_HINT}")
        self._pieces.append(chunk)

    def end(self) -> list[Upload]:
        if not self._pieces:
            raise Problem("no_file", f"the request has no body; {_HINT}")
        return [Upload("", self._media_type, b"".join(self._pieces))]


class _Form:
    """A form, of which only the files are kept. It is read as it comes: an 80 MB form that is
    parsed at its end would hold up all other requests, and be three times in memory.
    """

    def __init__(self, content_type: str, max_files: int) -> None:
        self._max_files = max_files
        self._files: list[Upload] = []
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

    def end(self) -> list[Upload]:
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
        most = self._max_files + OTHER_PARTS
        if self._parts > most:
            raise ValueError(f"more than {most} parts")
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
            media_type = self._headers.get(b"content-type", b"application/unknown")
            data = b"".join(self._pieces)
            self._files.append(Upload(base_name(self._name), media_type.decode("latin-1"), data))
        self._pieces = None

    def _end(self) -> None:
        self._ended = True


def file_name(disposition: bytes) -> str:
    """Find the file's name in a Content-Disposition, whichever way it is written there."""
    message = Message()
    message["content-disposition"] = disposition.decode("latin-1")
    value = message.get_param("filename", "", "content-disposition")
    if isinstance(value, tuple):  # filename*=utf-8''caf%C3%A9.png
        return collapse_rfc2231_value(value)
    return str(value).encode("latin-1", "replace").decode("utf-8", "replace")


def base_name(file_name: str) -> str:
    """Cut folders off, as old browsers send them, and what is longer than a file name can be."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return base.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")


def _boundary(content_type: str) -> bytes:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary" and value:
            return value.strip('"').encode("latin-1", "replace")
    raise ValueError("no boundary in the Content-Type")
