import base64
import json
import random

import pytest

from testkit.processes.cpu_time import takes_less_than
from visionfleet.web.http.json_body import LONG_BYTES, TEXT_BYTES, JsonBody, image
from visionfleet.web.problems import Problem

IMAGE = random.Random(1).randbytes(3 * LONG_BYTES)
BASE64 = base64.b64encode(IMAGE).decode()


def read(body: bytes, piece: int = 65536, length: int | None = None) -> tuple[str, list[bytes]]:
    reader = JsonBody(32, length)
    for start in range(0, len(body), piece):
        reader.add(body[start : start + piece])
    text, *rest = (file.data for file in reader.end())
    return text.decode(), rest


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7, 1000, 65536])
@pytest.mark.parametrize(
    "encoded",
    [
        json.dumps(BASE64),
        json.dumps(BASE64).replace("/", "\\/"),
        json.dumps(BASE64).replace("+", "\\u002B"),
        '"' + "\\r\\n".join(BASE64[i : i + 76] for i in range(0, len(BASE64), 76)) + '"',
        json.dumps("data:image/png;base64," + BASE64),
    ],
    ids=["plain", "slashes", "unicode", "lines", "data-url"],
)
def test_long_string_is_decoded_whatever_its_pieces(encoded: str, piece: int) -> None:
    body = f'{{"a\\"\\\\": "\\u00e9\\\\", "data": [{encoded}, "QUJD"], "z": {encoded}}}'
    text, (first, second, tail) = read(body.encode(), piece)
    left = json.loads(text)
    assert (first, second, tail) == (IMAGE, IMAGE, b"")
    assert left['a"\\'] == "é\\"
    assert [image(one, (first, second)) for one in left["data"]] == [IMAGE, b"ABC"]


def test_short_json_stays_as_it_is() -> None:
    chance = random.Random(2)
    for _ in range(200):
        value = {
            chance.choice('ab"\\é\n') * n: [n, None, "x" * chance.randrange(9)] for n in range(9)
        }
        body = json.dumps(value, ensure_ascii=chance.random() < 0.5)
        assert read(body.encode(), chance.randrange(1, 9)) == (body, [b""])


def test_bytes_behind_the_json_are_kept_as_they_are() -> None:
    body, tail = b'{"a": 1}', b'"\\\0' * 100
    for piece in (1, 9, 1000):
        assert read(body + tail, piece, len(body)) == (body.decode(), [tail])
    with pytest.raises(Problem):
        read(body, length=len(body) + 1)


@pytest.mark.parametrize(
    "unit", [b"[],", b"{},", b"1,", b'"",', b'"\\"",', b"[", b'{"a":1},', b"9", b"\\", b" "]
)
def test_json_of_tiny_values_is_refused_early_and_quickly(unit: bytes) -> None:
    piece = (b"[" + unit * 65536)[:65536]

    def refused() -> None:
        with pytest.raises(Problem):
            add_again_and_again(JsonBody(32), piece)

    assert takes_less_than(0.5, refused)


def add_again_and_again(reader: JsonBody, piece: bytes) -> None:
    for _ in range(TEXT_BYTES):
        reader.add(piece)


@pytest.mark.parametrize("string", ["#" * 9999, "é" * 9999, "QUJD" * 9999 + "!", "\\ud800" * 9999])
def test_long_string_that_is_no_base64_is_refused(string: str) -> None:
    with pytest.raises(Problem, match="is to be an image"):
        read(f'{{"a": "{string}"}}'.encode())


def test_images_of_one_body_are_few() -> None:
    with pytest.raises(Problem, match="more files than 32"):
        read(json.dumps([BASE64] * 33).encode())


@pytest.mark.parametrize("text", ["\0", "\0" + "1", "\0" + "-1", "\0" + "9" * 5000, "\0٣"])
def test_mark_that_names_no_image_is_no_base64(text: str) -> None:
    with pytest.raises(ValueError):
        image(text, (b"only",))
