"""Kept connections: framing, reuse, what the other side closes, and TLS."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from urllib3.util import parse_url

from testkit.web.certificates import self_signed
from visionfleet.aws.http_connections import BadAnswerError, HttpConnections, Timeouts

TWO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Server:
    """Answers each request on a connection with the next of `answers`; then it closes it."""

    answers: list[bytes]
    connections: int = 0
    asked: bytes = b""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    context: ssl.SSLContext | None = None

    def run(self) -> None:
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with suppress(OSError), accepted, self.secured(accepted) as secured:
                self.serve(secured)

    def secured(self, accepted: socket.socket) -> socket.socket:
        return self.context.wrap_socket(accepted, server_side=True) if self.context else accepted

    def serve(self, accepted: socket.socket) -> None:
        for answer in self.answers:
            heard = b""
            while b"\r\n\r\n" not in heard:
                if not (some := accepted.recv(65536)):
                    return
                heard += some
            self.asked += heard
            accepted.sendall(answer)

    def client(self, ca_certs: str = "", seconds: float = 5.0) -> HttpConnections:
        scheme = "https" if self.context else "http"
        url = parse_url(f"{scheme}://127.0.0.1:{self.listener.getsockname()[1]}")
        return HttpConnections(url, Timeouts(5.0, seconds), 2, ca_certs)


@contextmanager
def serving(*answers: bytes, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(list(answers), context=context)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(10)


def chunked(*chunks: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x;a=b\r\n%s\r\n" % (len(one), one) for one in chunks)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (TWO, b"ok"),
        (b"HTTP/1.1 200\r\nCONTENT-length:2\r\nX: a\r\nX: b\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (chunked(b"ab", b"c" * 20, b""), b"ab" + b"c" * 20),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000, b"x" * 300_000),
    ],
)
def test_whole_answers_are_read_and_the_connection_kept(answer: bytes, body: bytes) -> None:
    with serving(answer, TWO) as server:
        client = server.client()
        assert client.exchange(GET, b"").body == body
        assert client.exchange(GET, b"").body == b"ok"
        assert server.connections == 1
        del client


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 x00 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + TWO,
        b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n folded\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(101)),
        b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000,
        chunked(b"ab"),
        chunked(b"ab", b"")[:-2],
    ],
)
def test_anything_else_is_no_answer(answer: bytes) -> None:
    with serving(answer) as server:
        client = server.client()
        with pytest.raises((BadAnswerError, OSError)):
            client.exchange(GET, b"")
        assert not client._idle


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        TWO,  # and it is closed behind it all the same
    ],
)
def test_closed_connection_is_not_used_again(last: bytes) -> None:
    with serving(last) as server:
        client = server.client()
        for number in (1, 2):
            assert client.exchange(GET, b"").body == b"ok"
            assert server.connections == number
            for idle in client._idle:  # its end takes a moment to come
                idle._made.sock.recv(1, socket.MSG_PEEK)


def test_silent_connection_takes_the_idle_ones_with_it() -> None:
    """As when a firewall has forgotten them all: one call waits in vain, not one for each."""
    with serving(TWO) as server:
        client = server.client(seconds=0.3)
        client._idle.extend(client._new_one() for _ in range(2))
        with pytest.raises(TimeoutError):  # the server serves the older one
            client.exchange(GET, b"")
        assert not client._idle
        assert client.exchange(GET, b"").body == b"ok"


def test_large_bodies_are_sent_whole() -> None:
    with serving(TWO) as server:
        head = b"PUT / HTTP/1.1\r\n"
        assert server.client().exchange(head, b"x" * 500_000 + b"\r\n\r\n").body == b"ok"
    assert server.asked == head + b"x" * 500_000 + b"\r\n\r\n"


def test_server_that_says_nothing_is_left() -> None:
    with serving(b"", b"") as server:
        server.answers = [b"HTTP/1.1 200 OK\r\n", b""]
        with pytest.raises(TimeoutError):
            server.client(seconds=0.2).exchange(GET, b"")


def test_only_certificates_that_are_trusted_will_do(tmp_path: Path) -> None:
    for name in ("own", "other"):
        self_signed(tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
    with serving(TWO, TWO, context=context) as server:
        trusting = server.client(str(tmp_path / "own.pem"))
        assert [trusting.exchange(GET, b"").body for _ in range(2)] == [b"ok", b"ok"]
        del trusting
        with pytest.raises(ssl.SSLError):
            server.client(str(tmp_path / "other.pem")).exchange(GET, b"")
