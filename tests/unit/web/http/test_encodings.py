"""Base64, gzip and deflate as clients write them, in pieces of any length."""

import base64
import gzip
import zlib

import pytest

from visionfleet.web.http.encodings import Base64, Inflate, content_encoding, from_base64

DATA = bytes(range(256)) * 3 + b"x"


def in_pieces(text: bytes, step: int) -> bytes:
    decoder = Base64()
    pieces = [decoder.add(text[i : i + step]) for i in range(0, len(text), step)]
    return b"".join([*pieces, decoder.end()])


@pytest.mark.parametrize("step", [1, 2, 3, 76, 77, 10_000])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 700])
def test_base64_is_decoded_in_any_pieces(step: int, length: int) -> None:
    data = DATA[:length]
    encoded = base64.b64encode(data)
    for text in (
        encoded,
        base64.encodebytes(data),
        base64.encodebytes(data).replace(b"\n", b"\r\n"),
        base64.urlsafe_b64encode(data),
        encoded.rstrip(b"="),
    ):
        assert in_pieces(text, step) == data


@pytest.mark.parametrize(
    "text",
    ["é", "a", "abc!", "QQ==QUJD", "====", "QQ=a", "A===", "=QQQ", "Q=QQ", "QQQQ====", "\0\0\0\0"],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_base64(text)


def test_data_url_is_decoded() -> None:
    encoded = base64.b64encode(DATA).decode()
    assert from_base64(f"data:image/png;base64,{encoded}") == DATA
    assert from_base64(f"DATA:;BASE64,{encoded}") == DATA
    for text in ("data:image/png,%89PNG", "data:image/png;base64", "data:"):
        with pytest.raises(ValueError, match="data: URL"):
            from_base64(text)


def inflated(encoding: str, body: bytes, step: int = 7) -> bytes:
    decoder, found = Inflate(encoding), list[bytes]()
    for i in range(0, len(body), step):
        found += decoder.add(body[i : i + step])
    decoder.end()
    return b"".join(found)


def bare(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_compressed_bodies_are_inflated(step: int) -> None:
    assert inflated("gzip", gzip.compress(DATA), step) == DATA
    assert inflated("gzip", gzip.compress(DATA[:9]) + gzip.compress(DATA[9:]), step) == DATA
    assert inflated("deflate", zlib.compress(DATA), step) == DATA
    assert inflated("deflate", bare(DATA), step) == DATA


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b""),
        ("gzip", DATA),
        ("gzip", gzip.compress(DATA)[:-1]),
        ("gzip", gzip.compress(DATA) + b"more"),
        ("gzip", zlib.compress(DATA)),
        ("deflate", zlib.compress(DATA)[:-1]),
        ("deflate", zlib.compress(DATA) + b"more"),
        ("deflate", b"\xff" * 99),
    ],
)
def test_broken_compressed_bodies_are_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        inflated(encoding, body)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", ""),
        ("identity", ""),
        ("GZip", "gzip"),
        (" x-gzip ", "gzip"),
        ("gzip, identity", "gzip"),
        ("deflate", "deflate"),
        ("gzip, gzip", None),
        ("br", None),
        ("aws-chunked", None),
    ],
)
def test_content_encoding_is_read(header: str, found: str | None) -> None:
    assert content_encoding(header) == found
