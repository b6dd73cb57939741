"""Who has left frees its place; who has only ended its half of the connection keeps it."""

import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

from testkit.aws.embedded import Cloud, emptied
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until
from testkit.web.certificates import self_signed
from testkit.web.daemon import Web, web_daemon

IMAGE = encoded(numbered(0))
HEAD = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(IMAGE)}\r\n\r\n"


def waiting(web: Web) -> socket.socket:
    client = web.connect()
    client.sendall(HEAD.encode() + IMAGE)
    wait_until(lambda: "job accepted" in web.process.output(), 20, "the upload is accepted")
    return client


def is_full(web: Web) -> bool:
    return web.post("/v1/jobs", data=IMAGE).status_code == 503


def test_client_that_left_frees_its_place(running_aws: Cloud, tmp_path: Path) -> None:
    with web_daemon(emptied(running_aws), tmp_path, WEB__MAX_WAITING="1") as web:
        client = waiting(web)
        assert is_full(web)
        client.close()
        wait_until(lambda: not is_full(web), 30, "the place is free", interval_seconds=0.5)


def test_half_closed_client_keeps_its_place(running_aws: Cloud, tmp_path: Path) -> None:
    """For longer than it takes to find out that a client has left."""
    aws = emptied(running_aws)
    with web_daemon(aws, tmp_path, WEB__MAX_WAITING="1") as web, waiting(web) as client:
        client.shutdown(socket.SHUT_WR)
        began = time.monotonic()
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert time.monotonic() - began > 5
        wait_until(lambda: time.monotonic() - began > 13, 30, "it was looked for once more")
        assert is_full(web)
        with stand_in(aws):
            answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(label_of(IMAGE).encode())


def test_half_closed_client_is_answered_over_tls(running_aws: Cloud, tmp_path: Path) -> None:
    """Its end is a close_notify; a bare end of the connection is an attack (RFC 8446, 6.1)."""
    aws, files = emptied(running_aws), [tmp_path / "certificate", tmp_path / "key"]
    self_signed(*files)
    tls = {"WEB__TLS_CERTIFICATE": str(files[0]), "WEB__TLS_KEY": str(files[1])}
    trusting = ssl.create_default_context(cafile=str(files[0]))
    with stand_in(aws), web_daemon(aws, tmp_path, **tls) as web:
        plain = web.connect(30)
        with plain, trusting.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(HEAD.encode() + IMAGE)
            client.settimeout(0)
            with suppress(ssl.SSLWantReadError):  # it is sent; that of the server is to come
                client.unwrap()
            client.settimeout(30)
            answer = b""
            with suppress(OSError):  # the server closes without one
                while piece := client.recv(65536):
                    answer += piece
    assert answer.endswith(label_of(IMAGE).encode())
