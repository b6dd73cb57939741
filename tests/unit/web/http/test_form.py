"""Files in request bodies, multipart and raw."""

import pytest
import requests

from visionfleet.web.http.body import FormFile, base_name, file_reader
from visionfleet.web.problems import Problem


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
        ("filename=a.png", "a.png"),
        ('filename="a;b\\"c.png"', 'a;b"c.png'),
        ('FileName="a.png"', "a.png"),
        ('filename="C:\\b\\a.png"', "a.png"),
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
