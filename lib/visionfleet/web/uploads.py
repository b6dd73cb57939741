"""From a request's body to the files in it. No I/O here."""

from dataclasses import dataclass
from typing import Any

from tornado.httputil import (
    HTTPFile,
    HTTPInputError,
    ParseMultipartConfig,
    parse_multipart_form_data,
)

from visionfleet.web.problems import Problem

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


class _InOrder(dict[str, list[HTTPFile]]):
    """Keeps all files in one list: grouped by field, their order would be lost."""

    def setdefault(self, _field: str, default: Any = None) -> list[HTTPFile]:
        """Give the one list, whatever the field's name."""
        return super().setdefault("", default)


def read(content_type: str, body: bytes, max_files: int) -> list[Upload]:
    """Find the files in a body, in the order they were sent, at least one.

    Raises Problem with code `no_file`, `too_many_files` or `bad_body`.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        return _read_multipart(content_type, body, max_files)
    # RFC 9110, 8.3: a body without a type may be taken for application/octet-stream.
    if media_type.startswith("image/") or media_type in {"application/octet-stream", ""}:
        if not body:
            raise Problem("no_file", f"the request has no body; {_HINT}")
        return [Upload("", media_type, body)]
    raise Problem("no_file", f"a body of type {media_type} holds no file; {_HINT}")


def base_name(file_name: str) -> str:
    """Cut folders off, as old browsers send them, and what is longer than a file name can be."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    return base.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")


def _read_multipart(content_type: str, body: bytes, max_files: int) -> list[Upload]:
    found = _InOrder()
    limits = ParseMultipartConfig(max_parts=max_files + OTHER_PARTS)
    try:
        parse_multipart_form_data(_boundary(content_type), body, {}, found, config=limits)
    except (HTTPInputError, ValueError) as error:
        raise Problem("bad_body", f"the multipart body cannot be read: {error}") from error
    files = found.get("", [])
    if not files:
        raise Problem("no_file", f"the form has no file; {_HINT}")
    if len(files) > max_files:
        raise Problem("too_many_files", f"{len(files)} files, the limit is {max_files}")
    return [Upload(base_name(f.filename), f.content_type, f.body) for f in files]


def _boundary(content_type: str) -> bytes:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary" and value:
            return value.encode("latin-1", "replace")
    raise ValueError("no boundary in the Content-Type")
