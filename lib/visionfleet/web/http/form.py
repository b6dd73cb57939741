"""An incremental parser of multipart/form-data. No I/O here."""

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import TYPE_CHECKING, NamedTuple

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from visionfleet.imaging.formats import is_file
from visionfleet.web.http.encodings import Base64
from visionfleet.web.problems import Problem

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

# More photos are sent in several requests.
MAX_FILES = 32
# Allowance for other form fields and the preamble.
OTHER_PARTS = 20
# The preamble before the first boundary is ignored, up to this size.
PREAMBLE_BYTES = 4096
# The longest file name on Linux; with its prefix it also fits into an S3 key.
NAME_BYTES = 255

HINT = (
    "send multipart/form-data with a file in any field, the image itself with its own "
    'Content-Type, or application/json as {"image": "<base64>"}'
)
_NO_FILE = "its parts have neither a filename nor a Content-Type of image/..."
# Control characters, surrogates, and noncharacters.
_NO_LETTER = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_AS_IT_IS = {b"", b"7bit", b"8bit", b"binary"}

# Smaller pieces are merged with the next.
SMALL_BYTES = 4096
MAX_PARAMETERS = 64


class FormFile(NamedTuple):
    file_name: str
    data: bytes


def keep(pieces: list[bytes], piece: bytes) -> None:
    """Append a piece; small ones are merged, as each has an overhead of 40 bytes."""
    if pieces and len(pieces[-1]) < SMALL_BYTES:
        pieces[-1] += piece
    else:
        pieces.append(piece)


class Form:
    """A form, of which only the files are kept.

    Parsed incrementally: parsing an 80 MB form at its end would block all other requests, and hold
    it in memory three times.
    """

    def __init__(self, content_type: str, max_files: int) -> None:
        self._max_files = max_files
        self._files: list[FormFile] = []
        self._parts = 0
        self._field, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._pieces: list[bytes] = []
        self._base64: Base64 | None = None
        self._ended = False
        self._parser: MultipartParser | None = None
        self._head = b""
        self._content_type = content_type

    def add(self, chunk: bytes) -> int:
        try:
            if self._parser is None:
                self._begin(chunk)
            else:
                self._parser.write(chunk)
        except (FormParserError, ValueError) as error:
            raise Problem("bad_body", f"the multipart body cannot be read: {error}") from error
        return len(chunk)

    def _begin(self, chunk: bytes) -> None:
        """Find the first boundary, which may follow a preamble (RFC 2046, 5.1.1)."""
        self._head += chunk
        boundary = _boundary(self._content_type)
        found = self._head.find(b"--" + boundary)
        while found > 0 and self._head[found - 1] != ord("\n"):
            found = self._head.find(b"--" + boundary, found + 1)
        if found >= 0:
            self._parser = MultipartParser(boundary, self._callbacks())
            head, self._head = self._head[found:], b""
            if head.startswith(b"\n", len(boundary) + 2):
                raise ValueError("its lines end with LF alone; those of a form end with CRLF")
            self._parser.write(head)
        elif len(self._head) > PREAMBLE_BYTES:
            raise ValueError("it does not begin with the boundary that its Content-Type names")

    def end(self) -> list[FormFile]:
        if not self._ended:
            raise Problem("bad_body", "the multipart body ends before its last boundary")
        if not self._files:
            raise Problem("no_file", f"the form has no file: {_NO_FILE}; {HINT}")
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
        if self._headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            raise ValueError("a part is a multipart itself; send each file as a part of its own")
        self._name = file_name(disposition)
        self._pieces = []
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        self._base64 = Base64() if encoding == b"base64" else None
        if self._name:
            self._expect_room()
            if self._base64 is None and encoding not in _AS_IT_IS:
                name = encoding.decode("latin-1")[:40]
                raise ValueError(f"a file in {name}; send it as it is (binary), or in base64")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        keep(self._pieces, piece if self._base64 is None else self._base64.add(piece))

    def _end_part(self) -> None:
        if self._base64 is not None:
            self._pieces.append(self._base64.end())
        data, self._pieces = b"".join(self._pieces), []
        if self._name or self._is_nameless_file(data):
            self._expect_room()
            self._files.append(FormFile(base_name(self._name), data))

    def _is_nameless_file(self, data: bytes) -> bool:
        """Whether a part without a filename, as .NET and fetch send it, is a file."""
        media_type = self._headers.get(b"content-type", b"").lower()
        return bool(data) and (media_type.startswith(b"image/") or is_file(data))

    def _expect_room(self) -> None:
        if len(self._files) == self._max_files:
            raise Problem("too_many_files", f"more files than {self._max_files}")

    def _end(self) -> None:
        self._ended = True


def file_name(disposition: bytes) -> str:
    found = _parameters(disposition.decode("latin-1"), "filename")
    for value in found:
        if isinstance(value, tuple):  # filename*=utf-8''caf%C3%A9.png; RFC 6266: preferred
            return _extended_name(value)
    return _plain_name(found[0]) if found and isinstance(found[0], str) else ""


def _extended_name(value: tuple[str | None, str | None, str]) -> str:
    try:
        return collapse_rfc2231_value(value)
    except ValueError:  # unknown or wrong charset
        return value[2]


def _plain_name(value: str) -> str:
    if value.startswith("=?") and value.endswith("?="):  # as .NET sends it
        try:
            return str(make_header(decode_header(value)))
        except (HeaderParseError, LookupError, ValueError):
            return value
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def base_name(file_name: str) -> str:
    """Strip folders, as old browsers send them, and truncate to the length of a file name.

    Control characters and what XML 1.0 forbids are dropped: names go into S3 metadata and logs.
    """
    base = _NO_LETTER.sub("", file_name.replace("\\", "/").rsplit("/", 1)[-1])
    cut = base.encode()[:NAME_BYTES].decode("utf-8", "ignore")
    return cut if cut.strip(".") else ""


def _boundary(content_type: str) -> bytes:
    for value in _parameters(content_type, "boundary"):
        if isinstance(value, str) and value:
            return value.encode("latin-1", "replace")
    raise ValueError("no boundary in the Content-Type")


def _parameters(header: str, name: str) -> list[str | tuple[str | None, str | None, str]]:
    if header.count(";") > MAX_PARAMETERS:  # parsing time is quadratic in them
        raise ValueError("a header has too many semicolons")
    message = Message()
    message["content-disposition"] = header
    found = message.get_params([], "content-disposition")
    return [value for key, value in found if key.lower() == name]
