"""What ordinary HTTP clients do: each is understood, or told what to send instead."""

import base64
import gzip
import json
import socket
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))
B64 = base64.b64encode(IMAGE).decode()
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def web(running_aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    aws, folder = emptied(running_aws), tmp_path_factory.mktemp("web")
    with stand_in(aws, threads=2), web_daemon(aws, folder, WEB__HOSTS='["a.example"]') as made:
        yield made


def talk(web: Web, *sent: bytes, ends: bool = False) -> bytes:
    """Send bytes, perhaps half-close, and read until the server closes."""
    with web.connect(20) as client:
        for piece in sent:
            client.sendall(piece)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


def request(line: str, *headers: str, body: bytes = b"", length: bool = True) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: x", *headers]
    if length and body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "first",
    [
        request("GET /favicon.ico"),
        request("POST /v2/repository/index", body=b"{}"),
        request("POST /nothing", body=b"x" * 200_000),
        request("PUT /photo.jpg", body=IMAGE),
        request("PUT /v1/jobs", body=IMAGE),
        request("POST /v1/classify", "Content-Encoding: br", body=IMAGE),
        request("POST /v1/classify", "Content-Type: application/json", body=b"["),
        request("GET /v1/jobs/nothing"),
        request("GET /", "Host: evil.example").replace(b"Host: x\r\n", b""),
        request("HEAD /v1/fleet"),
        request("OPTIONS *"),
        request("GET http://x/healthz"),
    ],
    ids=lambda sent: sent[:24].decode(),
)
def test_refusals_keep_the_connection(web: Web, first: bytes) -> None:
    answer = talk(web, first, HEALTH)
    assert statuses(answer)[-1] == 200, answer
    assert len(statuses(answer)) == 2


@pytest.mark.parametrize(
    "first",
    [
        request("BREW /", body=b"x" * 10),
        request("get /healthz"),
        request("GET /v1/jobs/%ff"),
        request("GET /healthz").replace(b"Host: x\r\n", b""),
        request("GET /healthz", "Host: y"),
        request("POST /", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        request("POST /", "Content-Length: +1", body=b"x", length=False),
        request("POST /", "Transfer-Encoding: chunked", body=b"zz\r\n", length=False),
        request("GET /" + "a" * 40_000),
        b"GET /healthz\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=lambda sent: sent[:24].decode(),
)
def test_other_refusals_give_a_reason_and_announce_the_end(web: Web, first: bytes) -> None:
    answer = talk(web, first)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower()
    problem = json.loads(body)
    assert 400 <= problem["status"] < 500
    assert statuses(answer) == [problem["status"]]
    assert len(problem["detail"]) > 20


@pytest.mark.parametrize(
    ("target", "status"),
    [
        *(
            (target, 400)
            for target in ("*", "foo", "http://evil.example/v1/fleet", "x.example:443")
        ),
        *((target, 404) for target in ("//v1/classify", "/v1%2Fclassify", "/../v1/jobs", "/%00")),
        *(
            (target, 404)
            for target in ("/v1//classify", "/%2e%2e/x", "/\xe9", "/a\\b", "/v1/classify/")
        ),
    ],
)
def test_odd_targets_take_no_image(web: Web, target: str, status: int) -> None:
    form = b'--X\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n--X--\r\n'
    kind = "Content-Type: multipart/form-data; boundary=X"
    answer = talk(web, request(f"POST {target}", kind, "Connection: close", body=form))
    assert statuses(answer) == [status]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert "Traceback" not in web.process.output()


def test_protocol_errors_of_unknown_paths_have_its_form(web: Web) -> None:
    for path in ("/v2/repository/index", "/v2/models/default/config", "/v2/nothing"):
        answer = web.post(path, json={})
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


@pytest.mark.parametrize(
    "sent",
    [
        request("GET /healthz"),
        request("GET /healthz").replace(b"HTTP/1.1", b"HTTP/1.0"),
        request("POST /v1/classify", body=IMAGE),
        request(
            "POST /",
            "Transfer-Encoding: chunked",
            body=b"%x;ext=1\r\n%s\r\n0\r\n\r\n" % (len(IMAGE), IMAGE),
            length=False,
        ),
    ],
    ids=["get", "1.0", "upload", "chunked"],
)
def test_half_closed_clients_are_answered(web: Web, sent: bytes) -> None:
    assert statuses(talk(web, sent, ends=True)) == [200]


def test_body_that_ends_early_is_told(web: Web) -> None:
    sent = request("POST /v1/classify", "Content-Length: 999999", body=IMAGE, length=False)
    answer = talk(web, sent, ends=True)
    assert statuses(answer) == [400]
    assert b"shorter than its headers say" in answer


def classified(answer: requests.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["label"] == label_of(IMAGE))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain; charset=utf-8"},
        {"Content-Type": ""},
        {"Content-Type": "IMAGE/PNG; x=y", "Expect": "100-Continue"},
    ],
)
def test_raw_image_of_any_type_is_taken(web: Web, headers: dict[str, str]) -> None:
    assert classified(web.post("/v1/classify", data=IMAGE, headers=headers))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(IMAGE)),
        ("X-GZIP", gzip.compress(IMAGE)),
        ("deflate", zlib.compress(IMAGE)),
        ("deflate", zlib.compress(IMAGE)[2:-4]),
        ("identity", IMAGE),
    ],
)
def test_compressed_bodies_are_taken(web: Web, encoding: str, body: bytes) -> None:
    headers = {"Content-Encoding": encoding}
    assert classified(web.post("/v1/classify", data=body, headers=headers))


def test_compressed_bodies_are_bounded(web: Web) -> None:
    bomb = gzip.compress(bytes(100 << 20))
    answer = web.post("/v1/classify", data=bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    answer = web.post("/v1/classify", data=IMAGE, headers={"Content-Encoding": "zstd"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unknown_encoding")
    assert answer.headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "body",
    [
        {"image": B64},
        {"image": base64.encodebytes(IMAGE).decode()},
        {"image": base64.urlsafe_b64encode(IMAGE).decode().rstrip("="), "images": None},
        {"image": f"data:image/png;base64,{B64}", "file_name": "dir/a.png", "more": 1},
        {"image": {"b64": B64}},
        {"images": [B64]},
    ],
)
def test_images_in_json_are_taken(web: Web, body: dict[str, Any]) -> None:
    assert classified(web.post("/v1/classify", json=body))
    assert web.post("/", json=body).text == label_of(IMAGE)
    assert web.post("/v1/jobs", json=body).status_code == 202


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/jobs", "/", "/v2/models/default/infer"])
def test_json_may_begin_with_a_mark_of_byte_order(web: Web, path: str) -> None:
    """As PowerShell and .NET write files."""
    tensor = {"name": "i", "shape": [1], "datatype": "BYTES", "data": [B64]}
    body = BOM_UTF8 + json.dumps({"image": B64, "inputs": [tensor]}).encode()
    answer = web.post(path, data=body, headers={"Content-Type": "application/json"})
    assert answer.ok, answer.text


def test_several_images_in_json_are_answered_in_order(web: Web) -> None:
    other = encoded(numbered(1))
    sent = {"images": [B64, base64.b64encode(other).decode()]}
    results = web.post("/v1/classify", json=sent).json()["results"]
    assert [one["label"] for one in results] == [label_of(IMAGE), label_of(other)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"image": "é"}, "bad_body"),
        ({"image": 5}, "bad_body"),
        ([], "bad_body"),
        ({"image": "https://x.example/a.png"}, "bad_body"),
        ({"file_name": "a"}, "no_file"),
        ({"image": ""}, "empty"),
        ({"image": base64.b64encode(b"text").decode()}, "not_an_image"),
        ({"images": [""] * 33}, "too_many_files"),
    ],
)
def test_bad_images_in_json_are_told(web: Web, body: object, code: str) -> None:
    answer = web.post("/v1/classify", json=body)
    assert (answer.json()["code"], 400 <= answer.status_code < 500) == (code, True)


def test_refused_upload_leaves_its_key_free(web: Web) -> None:
    """So that a client may mend what it sends, and try again under its key."""
    headers = {"Idempotency-Key": "mended"}
    refused = web.post("/v1/classify", data=b"text", headers=headers)
    assert refused.json()["code"] == "not_an_image"
    assert classified(web.post("/v1/classify", data=IMAGE, headers=headers))


def test_null_is_what_is_left_out(web: Web) -> None:
    tensor = {"name": "i", "shape": [1], "datatype": "BYTES", "parameters": None, "data": [B64]}
    output = {"name": "classification", "parameters": {"classification": None}}
    for body in (
        {"id": None, "inputs": [tensor], "outputs": None, "parameters": None},
        {"inputs": [tensor], "outputs": [{"name": "classification", "parameters": None}]},
        {"inputs": [tensor], "outputs": [output], "parameters": {"timeout": None}},
    ):
        answer = web.post("/v2/models/default/infer", json=body)
        assert answer.status_code == 200, answer.text
        assert "id" not in answer.json()


def test_head_is_answered_wherever_get_is(web: Web) -> None:
    for path in ("/", "/page.js", "/v2", "/v2/models/default", "/openapi.json", "/readyz"):
        got, head = web.get(path), requests.head(web.url + path, timeout=20)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["Content-Length"] == got.headers["Content-Length"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:99", 200), ("A.Example", 200), ("[::1]", 200), ("evil.example", 421)],
)
def test_host_is_a_name_of_the_service(web: Web, host: str, status: int) -> None:
    answer = web.get("/v2", headers={"Host": host, "Origin": f"http://{host}"})
    assert answer.status_code == status
