"""Incremental decoders: base64, gzip, deflate. No I/O here."""

import binascii
import zlib
from collections.abc import Iterator

# The supported values, listed in Accept-Encoding when another is refused.
CONTENT_ENCODINGS = ("gzip", "deflate")
_SLICE = 1 << 18
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_GZIP, _ZLIB, _BARE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Base64:
    """Decodes in pieces; skips whitespace, accepts both alphabets and missing padding.

    Raises ValueError on invalid base64.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._padded = False

    def add(self, piece: bytes) -> bytes:
        text = self._rest + piece.translate(_URL_SAFE, b" \t\r\n")
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        return self._decoded(text[:whole])

    def end(self) -> bytes:
        rest, self._rest = self._rest, b""
        return self._decoded(rest + b"=" * (-len(rest) % 4))

    def _decoded(self, text: bytes) -> bytes:
        if text and self._padded:
            raise ValueError("no base64: there is more behind its end")
        self._padded = text.endswith(b"=") or self._padded
        try:
            found = binascii.a2b_base64(text)
        except binascii.Error as error:
            raise ValueError(f"no base64: {error}") from error
        # It ignores invalid characters; its strict mode takes twice as long.
        if len(found) != len(text) // 4 * 3 - text.count(b"=", -2):
            raise ValueError("no base64: there are other characters in it")
        return found


def from_base64(text: str) -> bytes:
    """Decode base64, or a data: URL that contains it; raises ValueError."""
    encoded, decoder = without_data_url(text).encode("ascii"), Base64()
    pieces = [decoder.add(encoded[i : i + _SLICE]) for i in range(0, len(encoded), _SLICE)]
    return b"".join([*pieces, decoder.end()])


def without_data_url(text: str) -> str:
    """Strip the prefix of a data: URL; raises ValueError."""
    if text[:5].lower() != "data:":
        return text
    kind, comma, rest = text.partition(",")
    if not (comma and kind.lower().endswith(";base64")):
        raise ValueError("a data: URL without ;base64")
    return rest


class Inflate:
    """Decodes one Content-Encoding in pieces; raises ValueError. The caller limits the output: one
    byte may expand to a thousand.
    """

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding == "gzip"
        self._head = b""
        self._stream = zlib.decompressobj(_GZIP) if self._is_gzip else None

    def add(self, piece: bytes) -> Iterator[bytes]:
        piece, self._head = self._head + piece, b""
        if self._stream is None and len(piece) < 2:
            self._head, piece = piece, b""
        while piece:
            stream = self._next(piece)
            try:
                yield stream.decompress(piece)
            except zlib.error as error:
                raise ValueError(str(error)) from error
            piece = stream.unused_data

    def end(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise ValueError("it ends before its end")

    def _next(self, piece: bytes) -> "zlib._Decompress":
        if self._stream is None:
            # RFC 9110, 8.4.1.2: some clients send deflate without the zlib wrapper.
            wrapped = piece[0] & 15 == zlib.DEFLATED and int.from_bytes(piece[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(_ZLIB if wrapped else _BARE)
        elif self._stream.eof:
            # RFC 1952, 2.2: a gzip file is a series of members.
            if not self._is_gzip:
                raise ValueError("there is more behind the end of the deflate data")
            self._stream = zlib.decompressobj(_GZIP)
        return self._stream


def content_encoding(header: str) -> str | None:
    """Parse a Content-Encoding: a supported one, "" for none, None if unknown."""
    names = [name for part in header.lower().split(",") if (name := part.strip())]
    found = [name.removeprefix("x-") for name in names if name != "identity"]
    if not found:
        return ""
    return found[0] if len(found) == 1 and found[0] in CONTENT_ENCODINGS else None
