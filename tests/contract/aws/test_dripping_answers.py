"""Answers that come a byte at a time: no call waits for one longer than its timeout allows."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from testkit.processes.waiting import wait_until
from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.imds import Metadata, instance_id
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Queue
from visionfleet.errors import TryLater

TIMEOUT_SECONDS = 0.2
HEAD = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Type: a/b\r\n'
# What comes at once, and what then comes byte by byte, over and over.
DRIPS: dict[str, tuple[bytes, bytes]] = {
    "status line": (b"", b"HTTP/1.1 200 " + b"O" * 999),
    "head": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
    "body": (HEAD + b"Content-Length: 99999\r\n\r\n", b"x"),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "error body": (b"HTTP/1.1 503 No\r\nContent-Length: 99999\r\n\r\n", b"x"),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"X-A: b\r\n"),
}


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answer each connection so; the value is the URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(65536)
            answer(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in (accepting, *threads):
        thread.join(10)


def factory(url: str) -> ClientFactory:
    return ClientFactory("us-east-1", url, TIMEOUT_SECONDS, 1, placeholder_credentials=True)


def get_directly(url: str) -> object:
    made = factory(url)
    s3 = made.client("s3")
    direct = made.direct_s3(s3, "bucket", 1)
    assert direct is not None
    assert direct.get("key") is None
    raise TryLater("left to boto3")


CALLS: dict[str, Callable[[str], object]] = {
    "get": lambda url: Store(factory(url).client("s3"), "bucket").get("key"),
    "get directly": get_directly,
    "find queue": lambda url: Queue(factory(url).client("sqs"), "queue"),
    "instance": lambda url: instance_id(Metadata(url, time.monotonic)),
}
# The metadata service has a timeout of its own, of two seconds: one will do.
TRIED = [(name, drip) for name in CALLS for drip in DRIPS if name != "instance" or drip == "head"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("name", "drip"), TRIED)
def test_answer_that_drips_is_given_up(name: str, drip: str) -> None:
    at_once, then = DRIPS[drip]
    enough, to_the_end = threading.Event(), threading.Event()

    def answer(client: socket.socket) -> None:
        client.sendall(at_once)
        for number in range(1200):  # for a minute
            client.sendall(then[number % len(then)].to_bytes())
            if enough.wait(0.05):
                return
        to_the_end.set()

    with answering(answer) as url:
        with pytest.raises(TryLater):
            CALLS[name](url)
        enough.set()
    assert not to_the_end.is_set()


def test_large_answer_may_take_longer_than_the_timeout() -> None:
    piece = b"x" * 16384

    def answer(client: socket.socket) -> None:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (10 * len(piece)))
        for _ in range(10):
            client.sendall(piece)
            time.sleep(0.05)

    with answering(answer) as url:
        store = Store(factory(url).client("s3"), "bucket")

        def got() -> bytes | None:
            with suppress(TryLater):  # on a busy machine, a single pause may be too long
                return store.get("key")
            return None

        assert wait_until(got) == 10 * piece
