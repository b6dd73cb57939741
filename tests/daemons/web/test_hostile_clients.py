"""Hostile clients without a key, and what they take from those who have one: nothing."""

import http.client
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.aws.embedded import Cloud
from testkit.images.pictures import encoded, numbered
from testkit.processes.memory import resident_mib
from testkit.processes.waiting import wait_until
from testkit.web.daemon import Web, web_daemon
from testkit.web.hostile_clients import CHUNKED, HOST, KINDS, WRONG, hostile_clients
from visionfleet.auth import api_keys, key_file

IMAGE = encoded(numbered(0))
KEY, KEPT = api_keys.make("good", bytes(range(53)), time.time(), None)
WORST = [
    "bodies of 80 MB",
    "chunks of one byte",
    "tensors of tiny values",
    "heads of 6,000 lines",
    "long polls",
    "answers that are not read",
    "connections that come and go",
]
POST = b"POST /v1/jobs" + HOST + b"Content-Type: image/png\r\nContent-Length: %d\r\n"


@pytest.fixture(scope="module")
def web(running_aws: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with key_file.edit(folder / "keys") as found:
        found[KEPT.id] = KEPT
    settings = {"WEB__KEYS_FILE": str(folder / "keys"), "WEB__MAX_WAITING": "20"}
    with web_daemon(running_aws, folder, **settings) as made:
        yield made


def upload(web: Web) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    headers = {"X-API-Key": KEY, "Content-Type": "image/png"}
    connection.request("POST", "/v1/jobs", IMAGE, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def connected(web: Web, sent: bytes) -> socket.socket:
    client = web.connect(20)
    client.sendall(sent)
    return client


def test_hostile_clients_take_no_room_from_those_with_a_key(web: Web, tmp_path: Path) -> None:
    assert set(WORST) <= set(KINDS)
    before = resident_mib(web.process.pid, peak=True)
    with hostile_clients(web.port, 30, WORST, tmp_path):
        end = time.monotonic() + 6
        while time.monotonic() < end:
            assert upload(web) == 202
    assert resident_mib(web.process.pid, peak=True) < before + 100
    assert "Traceback" not in web.process.output()
    ours = re.compile(r"web: job accepted | status=202 ")
    theirs = [line for line in web.process.output().splitlines() if not ours.search(line)]
    assert len(theirs) < 100
    assert max(map(len, theirs)) < 2000


def test_client_without_a_key_is_refused_before_its_body(web: Web) -> None:
    for body in (POST % 10_000_000 + b"\r\n", POST % 10_000_000 + WRONG + b"\r\n" + b"x" * 1000):
        with connected(web, body) as client:
            answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b"\r\nConnection: close\r\n" in answer


def test_refused_body_is_not_read_on(web: Web) -> None:
    """Some hundred chunks that came with a head cost 4 ms each time, and 0.4 ms now."""
    before = web.process.cpu_seconds()
    for _ in range(200):
        with connected(web, b"POST /v1/jobs" + HOST + CHUNKED + b"1\r\nx\r\n" * 15_000) as client:
            assert client.recv(65536).startswith(b"HTTP/1.1 401 ")
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    assert web.process.cpu_seconds() - before < 0.4


def test_client_that_sends_on_sees_its_refusal(web: Web) -> None:
    with connected(web, POST % 2_000_000 + b"\r\n") as client:
        for _ in range(20):
            client.sendall(bytes(100_000))
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_refusal_without_a_body_keeps_the_connection(web: Web) -> None:
    with connected(web, b"") as client:
        for _ in range(3):
            client.sendall(b"GET /v1/fleet" + HOST + b"\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_waiting_clients_without_a_key_keep_nobody_out(web: Web) -> None:
    clients = [connected(web, POST % 1000 + b"\r\n") for _ in range(40)]
    assert upload(web) == 202
    for client in clients:
        client.close()


def test_newest_client_without_a_key_replaces_the_oldest(web: Web) -> None:
    held = connected(web, b"GET /v1/fleet" + HOST + b"X-API-Key: " + KEY.encode() + b"\r\n\r\n")
    assert held.recv(65536).startswith(b"HTTP/1.1 404 ")
    clients = [connected(web, b"GET /v1/fleet" + HOST + b"\r\n") for _ in range(300)]
    clients[0].settimeout(60)
    until_its_end = b"".join(iter(lambda: clients[0].recv(65536), b""))
    assert until_its_end.startswith(b"HTTP/1.1 401 ")
    with connected(web, b"GET /healthz" + HOST + b"\r\n") as newest:
        assert newest.recv(100).startswith(b"HTTP/1.1 200 ")
    held.sendall(b"GET /healthz" + HOST + b"\r\n")
    assert held.recv(65536).startswith(b"HTTP/1.1 200 "), "who has shown a key stays"
    for client in (*clients, held):
        client.close()


@pytest.mark.parametrize(
    "head",
    [b"a: b\r\n" * 200, b"X: " + b"y" * 40_000 + b"\r\n"],
    ids=["lines", "bytes"],
)
def test_large_heads_are_431(web: Web, head: bytes) -> None:
    with connected(web, b"GET /healthz" + HOST + head + b"\r\n") as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 431 ")


def test_small_chunks_are_refused(web: Web) -> None:
    head = b"X-API-Key: " + KEY.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(web, b"POST /v1/jobs" + HOST + head) as client:
        client.sendall(b"1\r\nx\r\n" * 2000)
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    wait_until(lambda: upload(web) == 202, 30, "the daemon to be well")
