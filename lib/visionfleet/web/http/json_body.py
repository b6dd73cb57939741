"""An incremental parser of JSON with base64 images, decoded as they arrive. No I/O here.

The remaining JSON is limited to a few KiB, as parsing many small values takes thirty times their
size in memory, and blocks all others.
"""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Sequence

from visionfleet.web.http.encodings import Base64, from_base64, without_data_url
from visionfleet.web.http.form import FormFile
from visionfleet.web.problems import Problem

# Longer strings are decoded as base64 images.
LONG_BYTES = 8 << 10
# The limits for the JSON without its images.
TEXT_BYTES = 32 << 10
STRINGS = 1000
# Images are replaced by this mark and a number; \u0000 in any other string is refused.
_MARK = "\0"
_INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# The longest escape sequence, minus its first byte.
_ESCAPE_BYTES = 5
_DECODER = json.JSONDecoder(strict=False)


class LongString:
    """One base64 image, decoded incrementally; raises ValueError."""

    def __init__(self, start: bytes) -> None:
        self._decoder = Base64()
        self._rest = b""
        self._image = bytearray()
        self._is_first = True
        self.add(start)

    def add(self, piece: bytes) -> None:
        piece = self._rest + piece
        cut = piece.rfind(b"\\", max(0, len(piece) - _ESCAPE_BYTES))
        cut = len(piece) if cut < 0 else cut
        piece, self._rest = piece[:cut], piece[cut:]
        self._take(piece)

    def end(self) -> bytes:
        self._take(self._rest)
        self._image += self._decoder.end()
        return bytes(self._image)

    def _take(self, piece: bytes) -> None:
        if b"\\" in piece:
            piece = _DECODER.decode(f'"{piece.decode()}"').encode()
        if self._is_first:
            self._is_first = False
            piece = without_data_url(piece.decode()).encode()
        self._image += self._decoder.add(piece)


class JsonBody:
    """Reads JSON of `length` bytes, or all if None; data after it is kept as is."""

    def __init__(self, maximum: int, length: int | None = None) -> None:
        self._maximum = maximum
        self._left = length
        self._text = bytearray()
        self._string: bytearray | LongString | None = None  # unfinished string
        self._half = b""  # an incomplete escape sequence
        self._strings = 0
        self._images: list[bytes] = []
        self._tail: list[bytes] = []

    def add(self, chunk: bytes) -> int:
        """Consume a chunk; returns how many bytes are kept. Raises Problem."""
        piece = chunk
        if self._left is not None:
            piece, tail = chunk[: self._left], chunk[self._left :]
            self._left -= len(piece)
            self._tail.append(tail)
        try:
            self._read(self._half + piece)
        except ValueError as error:
            detail = f"a string of more than {LONG_BYTES} bytes is to be an image: {error}"
            raise Problem("bad_body", detail) from error
        return len(chunk)

    def end(self) -> list[FormFile]:
        """The remaining text, the images, and what follows the JSON."""
        if self._left:
            raise Problem("bad_parameter", "the body is shorter than its JSON is said to be")
        found = [self._text.removeprefix(BOM_UTF8), *self._images, b"".join(self._tail)]
        return [FormFile("", bytes(data)) for data in found]

    def _read(self, piece: bytes) -> None:
        at, self._half = 0, b""
        while at < len(piece):
            if self._string is None:
                end = piece.find(b'"', at) + 1 or len(piece)
                self._keep(piece[at:end])
                if piece[end - 1 : end] == b'"':
                    self._begin_string()
            else:
                end = self._read_string(piece, at)
                if end == len(piece) - 1 and piece[end:] == b"\\":
                    self._half = piece[end:]
                    return
            at = end

    def _read_string(self, piece: bytes, at: int) -> int:
        found = _INSIDE.match(piece, at)
        assert found is not None
        assert self._string is not None
        if isinstance(self._string, LongString):
            self._string.add(found[0])
        else:
            self._string += found[0]
            if len(self._string) > LONG_BYTES:
                self._string = LongString(bytes(self._string))
        end = found.end()
        if piece[end : end + 1] == b'"':
            self._end_string()
            end += 1
        return end

    def _begin_string(self) -> None:
        self._strings += 1
        if self._strings > STRINGS:
            raise Problem("bad_body", f"the JSON has more than {STRINGS} strings")
        self._string = bytearray()

    def _end_string(self) -> None:
        if isinstance(self._string, LongString):
            if len(self._images) == self._maximum:
                raise Problem("too_many_files", f"more files than {self._maximum}")
            self._keep(b'\\u0000%d"' % len(self._images))
            self._images.append(self._string.end())
        elif self._string is not None:
            self._keep(bytes(self._string) + b'"')
        self._string = None

    def _keep(self, text: bytes) -> None:
        self._text += text
        if len(self._text) > TEXT_BYTES:
            detail = f"the JSON has more than {TEXT_BYTES} bytes beside its images"
            raise Problem("bad_body", detail)


def image(text: str, images: Sequence[bytes]) -> bytes:
    """The image that a string contains or refers to; raises ValueError."""
    if not text.startswith(_MARK):
        return from_base64(text)
    number = text.removeprefix(_MARK)
    if not (number.isdecimal() and len(number) < 4 and int(number) < len(images)):
        raise ValueError("no base64")
    return images[int(number)]
