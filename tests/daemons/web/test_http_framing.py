"""How requests begin and end on their connections: what is no HTTP, trailers, lists of options."""

import json
import socket
from collections.abc import Iterator

import pytest

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))
HELLO = bytes.fromhex("1603010200010001fc0303") + b"\xaa" * 506
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b"%x\r\n%s\r\n" % (len(IMAGE), IMAGE)


@pytest.fixture(scope="module")
def web(running_aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    aws, folder = emptied(running_aws), tmp_path_factory.mktemp("web")
    with stand_in(aws, threads=2), web_daemon(aws, folder) as made:
        yield made


def talk(web: Web, sent: bytes) -> bytes:
    """Send bytes and read until the server closes: at once, or it would say 408 later."""
    with web.connect() as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head.lower(), answer
    problem = json.loads(body)
    return problem["status"], problem["detail"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (HELLO, "plain HTTP: use http://"),
        (HELLO[:3], "plain HTTP: use http://"),
        (b"\x80\x2e\x01\x00\x02", "no"),
        (b"\0" * 12, "no"),
        (b"{}", "no"),
        (b"\xef\xbb\xbfGET / HTTP/1.1\r\n", "no"),
        (b"AMQP\0\0\x09\x01", "no method"),
    ],
)
def test_what_is_no_http_is_told_at_once(web: Web, sent: bytes, said: str) -> None:
    status, detail = refusal(talk(web, sent))
    assert (status, said in detail) == (400, True)


@pytest.mark.parametrize("before", [b"", HEALTH + b"\r\n"], ids=["first", "second"])
@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", 400, "without a version"),
        (b"*1\r\n$4\r\nPING\r\n", 400, "without a version"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "the version"),
        (b"GET  /  HTTP/1.1\r\n", 400, "single spaces"),
        (b"get /" + b"a" * 9000, 431, "8192"),
        (b"\r\n" * 50, 400, "empty lines"),
    ],
)
def test_line_of_no_request_is_told_at_once(
    web: Web, before: bytes, line: bytes, status: int, said: str
) -> None:
    answer = talk(web, before + line)
    told, detail = refusal(answer[answer.rindex(b"HTTP/1.1 4") :])
    assert (told, said in detail) == (status, True), answer


@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n" * 2, b"\n" * 3, b"\r\n" * 20])
def test_empty_lines_before_a_request_are_ignored(web: Web, empty: bytes) -> None:
    last = HEALTH + b"Connection: close\r\n\r\n"
    answer = talk(web, empty + HEALTH + b"\r\n" + empty + last)
    assert answer.count(b"HTTP/1.1 200 OK") == 2, answer


def test_half_of_a_head_is_refused_at_its_end(web: Web) -> None:
    with web.connect(8) as client:
        client.sendall(HEALTH)
        client.shutdown(socket.SHUT_WR)
        assert refusal(b"".join(iter(lambda: client.recv(65536), b"")))[0] == 400


@pytest.mark.parametrize("trailers", [b"", b"X-A: b\r\n", b"A: b\r\nX-Checksum: \xe9 c\r\n" * 3])
@pytest.mark.parametrize("last", [b"0", b"000", b"0;x=y"])
def test_trailers_of_a_body_are_skipped(web: Web, trailers: bytes, last: bytes) -> None:
    upload = CHUNKED + BODY + last + b"\r\n" + trailers + b"\r\n"
    answer = talk(web, upload + HEALTH + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2, answer
    assert label_of(IMAGE).encode() in answer


@pytest.mark.parametrize(
    "trailers",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"no colon\r\n",
        b" X: folded\r\n",
        b"X : y\r\n",
        b"X: a\nY: b\r\n",
        b"X: \0\r\n",
        b"X: " + b"y" * 5000 + b"\r\n",
        b"X: y\r\n" * 1000,
    ],
    ids=lambda sent: sent[:12].decode(),
)
def test_what_is_no_trailer_ends_the_connection(web: Web, trailers: bytes) -> None:
    answer = talk(web, CHUNKED + BODY + b"0\r\n" + trailers + b"\r\n" + HEALTH + b"\r\n")
    assert refusal(answer)[0] == 400
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("options", ["TE, close", "close, TE", "Keep-Alive,CLOSE", "close,"])
def test_close_is_found_in_a_list_of_options(web: Web, options: str) -> None:
    sent = HEALTH + f"TE: trailers\r\nConnection: {options}\r\n\r\n".encode()
    answer = talk(web, sent + HEALTH + b"\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"\r\nconnection: close\r\n" in answer.lower()
