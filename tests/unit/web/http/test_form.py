"""Files in request bodies, multipart and raw."""

import base64

import pytest
import requests

from testkit.processes.cpu_time import takes_less_than
from visionfleet.web.http.body import file_reader
from visionfleet.web.http.form import FormFile, base_name
from visionfleet.web.problems import Problem

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def part(head: str, data: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    lines = f'--X\r\nContent-Disposition: form-data; name="f"{head}\r\n\r\n'
    return before + lines.encode() + data + b"\r\n--X--\r\n" + after


def read(content_type: str, body: bytes, max_files: int, step: int = 7) -> list[FormFile]:
    """Read a body that comes in pieces."""
    made = file_reader(content_type, max_files)
    for start in range(0, len(body), step):
        made.add(body[start : start + step])
    return made.end()


def form(*files: tuple[str, tuple[str, bytes]], **fields: str) -> tuple[str, bytes]:
    """Write a multipart body as the library of most clients does."""
    made = requests.Request("POST", "http://x/", files=list(files), data=fields).prepare()
    assert isinstance(made.body, bytes)
    return made.headers["Content-Type"], made.body


@pytest.mark.parametrize("field", ["myfile", "file", "inputFile", "x y", "bücher"])
def test_multipart_file_is_found_in_any_field(field: str) -> None:
    assert read(*form((field, ("test_0.JPEG", b"bytes"))), 1) == [FormFile("test_0.JPEG", b"bytes")]


def test_multipart_fields_without_a_file_are_skipped() -> None:
    many = {f"field{i}": "value" for i in range(15)}
    assert [file.data for file in read(*form(("f", ("a", b"1")), **many), 1)] == [b"1"]


def test_multipart_keeps_the_order_of_files() -> None:
    sent = [("a", ("1", b"1")), ("b", ("2", b"2")), ("a", ("3", b"3"))]
    assert [file.file_name for file in read(*form(*sent), 3)] == ["1", "2", "3"]


def test_multipart_keeps_any_bytes() -> None:
    data = bytes(range(256)) + b"\r\n\r\n--\r\n"
    assert read(*form(("f", ("a", data))), 1)[0].data == data


@pytest.mark.parametrize("step", [1, 2, 3, 50, 64, 1000])
def test_multipart_parses_any_chunking(step: int) -> None:
    data = b"\r\n--\r\n-" * 20
    sent = [("a", ("1", data)), ("b", ("2", b"")), ("c", ("3", b"\r\n"))]
    found = read(*form(*sent, field="value"), 3, step)
    assert [(one.file_name, one.data) for one in found] == [f for _, f in sent]


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ('filename="café.png"', "café.png"),
        ("filename*=utf-8''caf%C3%A9.png", "café.png"),
        ("filename*=idna''a.png", "a.png"),
        ("filename*=a%00b''a.png", "a.png"),
        ("filename*=nonsense''a.png", "a.png"),
        ("filename=a.png", "a.png"),
        ('filename="a;b\\"c.png"', 'a;b"c.png'),
        ('FileName="a.png"', "a.png"),
        ('filename="C:\\b\\a.png"', "a.png"),
        # .NET sends both; RFC 6266 prefers the second.
        ("filename=\"=?utf-8?B?Y2Fmw6kucG5n?=\"; filename*=utf-8''caf%C3%A9.png", "café.png"),
        ('filename="=?utf-8?B?Y2Fmw6kucG5n?="', "café.png"),
        ('filename="=?nonsense?B?Y2Fm?="', "=?nonsense?B?Y2Fm?="),
        ("filename*=nonsense''caf.png", "caf.png"),
        ("name=f; x=\"filename=b\"; filename='a.png'", "'a.png'"),
    ],
)
def test_multipart_file_names_are_decoded(parameter: str, name: str) -> None:
    head = f'--X\r\nContent-Disposition: form-data; name="f"; {parameter}\r\n\r\n'
    (found,) = read(BOUNDARY, head.encode() + b"data\r\n--X--\r\n", 1)
    assert (found.file_name, found.data) == (name, b"data")


def test_multipart_empty_file_is_a_file() -> None:
    assert read(*form(("f", ("a.png", b""))), 1) == [FormFile("a.png", b"")]


@pytest.mark.parametrize(
    "media_type", ["image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", ""]
)
def test_raw_body_is_a_file_without_a_name(media_type: str) -> None:
    (upload,) = read(media_type, b"bytes", 1)
    assert (upload.file_name, upload.data) == ("", b"bytes")


QUOTED = 'multipart/form-data; charset=utf-8; boundary="X"'
BOUNDARY = "multipart/form-data; boundary=X"


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("", b"", "no_file"),
        ("image/jpeg", b"", "no_file"),
        ("application/json", b"{}", "no_file"),
        ("application/x-www-form-urlencoded", b"a=b", "no_file"),
        (BOUNDARY, b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--X--', "no_file"),
        # What a browser sends when no file was chosen.
        (
            BOUNDARY,
            b'--X\r\nContent-Disposition: form-data; name="a"; filename=""\r\n\r\n\r\n--X--',
            "no_file",
        ),
        (BOUNDARY, b"", "bad_body"),
        (BOUNDARY, b"--X\r\nno headers\r\n--X--", "bad_body"),
        (BOUNDARY, b"--X\r\n\xff: \xff\r\n\r\nb\r\n--X--", "bad_body"),
        (
            BOUNDARY,
            b'--X\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc',
            "bad_body",
        ),
        (BOUNDARY, b"--X\r\nContent-Type: image/png\r\n\r\nb\r\n--X--", "bad_body"),
        (BOUNDARY, b"--X\r\n" + b"a" * 9000, "bad_body"),
        (BOUNDARY, b"--X\r\n" + b"a: b\r\n" * 90, "bad_body"),
        (QUOTED, b"--Y--", "bad_body"),
        (QUOTED, b"x" * 9000, "bad_body"),
        (BOUNDARY, part('; filename="a"', b"1").replace(b"\r", b""), "bad_body"),
        ("multipart/form-data; boundary=" + "b" * 300, b"--", "bad_body"),
        ("multipart/form-data", b"--X--", "bad_body"),
        ("multipart/form-data; boundary=", b"----", "bad_body"),
    ],
)
def test_body_without_a_file_is_refused(content_type: str, body: bytes, code: str) -> None:
    with pytest.raises(Problem) as caught:
        read(content_type, body, 3)
    assert caught.value.code == code


def test_multipart_with_too_many_files_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        read(*form(*[("f", (str(i), b"x")) for i in range(4)]), 3)
    assert caught.value.code == "too_many_files"


def test_multipart_with_too_many_parts_is_refused() -> None:
    with pytest.raises(Problem) as caught:
        read(*form(("f", ("a", b"x")), **{f"field{i}": "v" for i in range(100)}), 3)
    assert caught.value.code == "bad_body"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("test_0.JPEG", "test_0.JPEG"),
        ("a/b/c.png", "c.png"),
        (r"C:\photos\c.png", "c.png"),
        ("../../etc/passwd", "passwd"),
        ("é" * 200, "é" * 127),
        ("a\udc80b", "ab"),
        ("a\r\nX-Evil: 1\x00\x85\ufffe\uffff.png", "aX-Evil: 1.png"),
        ("..", ""),
        ("..png", "..png"),
        ("", ""),
    ],
)
def test_file_name_is_reduced_to_its_base_name(sent: str, kept: str) -> None:
    assert base_name(sent) == kept


@pytest.mark.parametrize(
    "head",
    ["", "\r\nContent-Type: IMAGE/jpeg; q=1", "\r\nContent-Type: text/plain", '; filename=""'],
)
def test_part_without_a_file_name_is_a_file_by_its_bytes(head: str) -> None:
    assert read(BOUNDARY, part(head, PNG), 1) == [FormFile("", PNG)]


def test_part_of_an_image_type_is_a_file() -> None:
    assert read(BOUNDARY, part("\r\nContent-Type: image/x", b"x"), 1) == [FormFile("", b"x")]


@pytest.mark.parametrize("text", [b"BMW", b"GIF89a", b"{}", b"%PDF", b"<svg/>", b"1"])
def test_field_of_text_is_no_file(text: bytes) -> None:
    with pytest.raises(Problem, match="neither a filename nor"):
        read(BOUNDARY, part("", text), 1)


@pytest.mark.parametrize("head", ['; filename="a.png"', "\r\nContent-Type: image/png", ""])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_part_in_base64_is_decoded(head: str, step: int) -> None:
    head += "\r\nContent-Transfer-Encoding: BASE64"
    body = part(head, base64.encodebytes(PNG * 20))
    assert read(BOUNDARY, body, 1, step)[0].data == PNG * 20


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_part_in_another_encoding_says_what_to_send(encoding: str) -> None:
    body = part(f'; filename="a"\r\nContent-Transfer-Encoding: {encoding}', b"=\x00x")
    with pytest.raises(Problem, match="base64") as caught:
        read(BOUNDARY, body, 1)
    assert caught.value.code == "bad_body"


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="a;b c"',
        'Multipart/Form-Data;Boundary="a;b c";charset=x',
        'multipart/form-data; charset="b;boundary=z"; boundary = "a;b c" ',
    ],
)
def test_boundary_in_quotes_is_read(content_type: str) -> None:
    body = part('; filename="a"', b"1", b"preamble\r\n", b"epilogue").replace(b"--X", b"--a;b c")
    assert read(content_type, body, 1) == [FormFile("a", b"1")]


@pytest.mark.parametrize(
    "media_type", ["application/x-www-form-urlencoded", "text/plain", "video/mp4"]
)
@pytest.mark.parametrize("step", [1, 100, 1000])
def test_raw_image_is_known_by_its_bytes(media_type: str, step: int) -> None:
    assert read(media_type, PNG * 30, 1, step) == [FormFile("", PNG * 30)]
    for body in (b"a=b", b"BMW=" * 100):
        with pytest.raises(Problem) as caught:
            read(media_type, body, 1, step)
        assert caught.value.code == "no_file"


def test_headers_of_many_parameters_are_refused_at_once() -> None:
    def refused() -> None:
        for head in ('"; filename="' + ";" * 3900, '"' + ';a="";' * 600):
            with pytest.raises(Problem, match="semicolons"):
                read("multipart/form-data; boundary=X", part(head, b"x"), 1, 65536)
        with pytest.raises(Problem, match="semicolons"):
            read("multipart/form-data" + ";" * 30_000 + "boundary=X", part("", b"x"), 1)

    assert takes_less_than(0.1, refused)
