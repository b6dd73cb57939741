"""What the web daemon refuses: every bad request has its error code and harms nothing."""

import shutil
import socket
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests

from testkit.aws.embedded import BUCKETS, Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web

MIB = 1 << 20
IMAGE = encoded(numbered(0))
UNKNOWN = "0" * 26

aws = pytest.fixture(emptied, scope="module")


def bomb() -> bytes:
    """Make a PNG of 100 bytes that claims 60000 x 60000 pixels."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def refused(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    """Expect a problem document, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in answer.text
    return problem


@pytest.mark.parametrize("path", ["/", "/v1/classify", "/v1/jobs"])
@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({}, 400, "no_file"),
        ({"data": {"a": "form field"}}, 400, "no_file"),
        ({"json": {}}, 400, "no_file"),
        ({"files": {"file": ("empty.jpg", b"")}}, 400, "empty"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_body"),
        ({"files": [("f", (str(i), IMAGE)) for i in range(33)]}, 400, "too_many_files"),
        ({"files": {"file": ("text.jpg", b"just text")}}, 415, "not_an_image"),
        ({"data": b"just text"}, 415, "not_an_image"),
        ({"files": {"file": ("bomb.png", bomb())}}, 422, "too_many_pixels"),
        ({"data": b"\xff" * (20 * MIB + 1)}, 413, "too_large"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str | int) else "",
)
def test_bad_uploads_get_their_error_code(
    web: Web, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    refused(web.post(path, **options), status, code)


@pytest.mark.parametrize(
    ("path", "body", "fault"),
    [
        ("/v1/classify", b'{"image": 5}', "image"),
        (
            "/v1/jobs",
            b'{"image": "AA", "file_name": 5}',
            "file_name: ",
        ),
        ("/v1/classify", b"{'image': ''}", "Invalid JSON"),
        ("/v1/uploads", b'{"content_type": []}', "content_type: "),
        (f"/v1/uploads/{UNKNOWN}", b"[]", "request: Input should be an object"),
    ],
)
def test_json_that_cannot_be_read_is_told_where(
    web: Web, path: str, body: bytes, fault: str
) -> None:
    answer = web.post(path, data=body, headers={"Content-Type": "application/json"})
    assert fault in refused(answer, 400, "bad_body")["detail"]


def test_parts_in_a_part_are_told(web: Web) -> None:
    """`curl -F file=@a,b` writes several files of one field so."""
    files = {"file": ("", b"--Y\r\n\r\nx\r\n--Y--", "multipart/mixed; boundary=Y")}
    problem = refused(web.post("/", files=files), 400, "bad_body")
    assert "each file as a part of its own" in problem["detail"]


@pytest.fixture(params=[30, 100, 1000], ids=lambda mebibytes: f"{mebibytes}MiB")
def large(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Make a sparse file."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(request.param * MIB)
    return path


def test_too_large_upload_is_413(web: Web, large: Path) -> None:
    with large.open("rb") as file:
        refused(web.post("/", data=file), 413, "too_large")


def test_too_large_upload_of_unknown_length_is_413(web: Web, large: Path) -> None:
    with large.open("rb") as file:
        refused(web.post("/", data=iter(lambda: file.read(MIB), b"")), 413, "too_large")


def test_curl_sees_413(web: Web, large: Path) -> None:
    curl(web, large)


def test_curl_without_expect_continue_sees_413(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 * MIB)  # less than eight times the limit: it is read to its end
    curl(web, path, "-H", "Expect:")


def curl(web: Web, path: Path, *more: str) -> None:
    """Upload a file that is too large, and expect curl to show the problem."""
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    argv = ["curl", "-sS", "-m", "30", "-F", f"file=@{path}", "-w", "%{http_code}", *more, web.url]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("}413")
    assert '"too_large"' in done.stdout


def test_expect_continue_is_refused_before_the_body(web: Web) -> None:
    with web.connect() as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Type: image/png\r\nContent-Length: 30000000\r\n\r\n"
        )
        assert received(client).startswith(b"HTTP/1.1 413 ")


def test_large_image_within_the_limit_is_accepted(aws: Cloud, web: Web) -> None:
    image = encoded(numbered(1, side=2500), compress_level=0)
    assert 17 * MIB < len(image) < 20 * MIB
    with stand_in(aws):
        assert web.post("/", files={"myfile": ("large.png", image)}).text == label_of(image)


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/jobs"])
@pytest.mark.parametrize("value", ["0", "1001", "x", "", "1.5"])
def test_bad_top_parameter_is_refused(web: Web, path: str, value: str) -> None:
    refused(web.post(f"{path}?top={value}", data=IMAGE), 400, "bad_parameter")


@pytest.mark.parametrize("value", ["-1", "301", "x", "nan", "1_0", "\u0661"])
def test_bad_wait_parameter_is_refused(web: Web, value: str) -> None:
    refused(web.post(f"/v1/classify?wait={value}", data=IMAGE), 400, "bad_parameter")
    refused(web.get(f"/v1/jobs/{UNKNOWN}?wait={value}"), 400, "bad_parameter")


@pytest.mark.parametrize("job", [UNKNOWN, "abc", "..%2Ffleet%2Fstatus", "%00", "\u00e9"])
def test_unknown_job_is_404(web: Web, job: str) -> None:
    refused(web.get(f"/v1/jobs/{job}?wait=20"), 404, "unknown_job")


def test_path_that_is_not_utf8_is_400(web: Web) -> None:
    refused(web.get("/v1/jobs/%ff"), 400, "bad_parameter")


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/jobs/a/b", "/favicon.ico"])
def test_unknown_path_is_404(web: Web, path: str) -> None:
    refused(web.get(path), 404, "not_found")
    refused(web.post(path, data=IMAGE), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/", "GET, HEAD, OPTIONS, POST"),
        ("GET", "/v1/classify", "OPTIONS, POST"),
        ("GET", "/v1/jobs", "OPTIONS, POST"),
        ("POST", f"/v1/jobs/{UNKNOWN}", "GET, HEAD, OPTIONS"),
        ("DELETE", f"/v1/jobs/{UNKNOWN}", "GET, HEAD, OPTIONS"),
        ("POST", "/healthz", "GET, HEAD, OPTIONS"),
        ("BREW", "/v1/fleet", "GET, HEAD, OPTIONS"),
    ],
)
def test_wrong_method_is_405(web: Web, method: str, path: str, allowed: str) -> None:
    answer = requests.request(method, web.url + path, data=b"x", timeout=60)
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_refused_uploads_leave_nothing_in_s3_or_sqs(aws: Cloud, web: Web) -> None:
    before = aws.keys("images/", BUCKETS[0]), aws.counts()
    for options in ({"data": b"text"}, {"data": bomb()}, {"files": {"f": ("e", b"")}}):
        assert web.post("/v1/jobs", **options).status_code >= 400
    assert (aws.keys("images/", BUCKETS[0]), aws.counts()) == before


def test_refusals_are_logged_once_without_traceback(web: Web) -> None:
    web.post("/", data=b"text", headers={"X-Request-ID": "logged-once"})

    def told() -> list[str]:
        return [one for one in web.process.output().splitlines() if "logged-once" in one]

    wait_until(lambda: "web: request " in "".join(told()))
    line, request = told()
    assert "INFO web: refused" in line
    assert "INFO web: request method=POST path=/ status=415" in request
    assert "code=not_an_image" in line


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"",
    ],
)
def test_broken_connections_do_not_harm_others(web: Web, sent: bytes) -> None:
    with web.connect() as client:
        client.sendall(sent)
    assert web.get("/healthz").ok
    assert "Traceback" not in web.process.output()


def received(client: socket.socket) -> bytes:
    """Read until the server closes."""
    whole = b""
    while piece := client.recv(65536):
        whole += piece
    return whole
