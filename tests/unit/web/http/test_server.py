"""What is open, the wait until nothing is, and what is left of it: nothing."""

import asyncio
import gc
import socket
import struct
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from visionfleet.web.http import arrival
from visionfleet.web.http.connection import Connection
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.server import OpenSet, WebServer
from visionfleet.web.http.stream import LOOK_SECONDS


def test_wait_until_none_is_open() -> None:
    async def waited() -> None:
        requests = OpenSet()
        assert await requests.none_left(0)
        one, two = object(), object()
        requests.open |= {one, two}
        assert not await requests.none_left(0)
        requests.leave(one)
        requests.leave(one)
        assert len(requests.open) == 1
        left = asyncio.ensure_future(requests.none_left(10))
        asyncio.get_running_loop().call_soon(requests.leave, two)
        assert await left

    asyncio.run(waited())


@pytest.mark.parametrize(
    "sent", [b"\x16\x03 no http\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /", b""]
)
def test_nothing_is_left_of_a_connection_that_is_over(sent: bytes) -> None:
    """A timer that outlives it keeps it in memory: 15 s of those that many clients open."""

    async def left() -> int:
        limiter = ConnectionLimiter(lambda _: False, time.monotonic)
        server = WebServer(Application([("/.*", RequestHandler)]), 1000, limiter)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        for _ in range(5):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(sent)
            writer.write_eof()
            await reader.read()
            writer.close()
        server.stop()
        end = time.monotonic() + 10  # less than the 15 s of the longest timer
        while (found := connections(others)) and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        return found

    others = [one for one in gc.get_objects() if type(one) is Connection]
    assert asyncio.run(left()) == 0


def test_reset_connections_leave_no_buffers() -> None:
    """The traceback of each reset held 64 KiB until the collector came."""

    async def run() -> int:
        limiter = ConnectionLimiter(None, time.monotonic)
        server = WebServer(Application([("/.*", RequestHandler)]), 1000, limiter)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            client = writer.get_extra_info("socket")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.close()
        while server.connections.open:
            await asyncio.sleep(0.01)
        server.stop()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    gc.disable()
    try:
        assert asyncio.run(run()) < 3_000_000
    finally:
        gc.enable()
        tracemalloc.stop()


def connections(others: Sequence[object]) -> int:
    """Count the connections but for those of other tests."""
    gc.collect()
    known = set(map(id, others))
    return sum(type(one) is Connection and id(one) not in known for one in gc.get_objects())


def test_who_sends_on_after_a_refusal_stalls_and_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would else see a reset in the midst of a body, and answer 502 by itself."""
    monkeypatch.setattr(arrival, "LINGER_SECONDS", 0.6)

    async def talk() -> tuple[bytes, bool, float]:
        loop, limiter = (
            asyncio.get_running_loop(),
            ConnectionLimiter(lambda _: False, time.monotonic),
        )
        while limiter.may_drain():
            pass
        (listener,) = bind_sockets(0, "127.0.0.1")
        with listener, socket.create_connection(listener.getsockname()) as client:
            server, _ = await loop.sock_accept(listener)
            client.setblocking(False)
            server.setblocking(False)
            server.send(b"HTTP/1.1 401 No\r\n\r\n")
            started = loop.time()
            arrival.Drain(server, limiter)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await loop.sock_sendall(client, bytes(64 << 20))
            found, is_open = await loop.sock_recv(client, 100), server.fileno() != -1
            while server.fileno() != -1:
                await asyncio.sleep(0.05)
            return found, is_open, loop.time() - started

    found, is_open, seconds = asyncio.run(talk())
    assert (found, is_open) == (b"HTTP/1.1 401 No\r\n\r\n", True)
    assert 0.5 < seconds < 5


def test_what_is_no_http_takes_turns_and_rests() -> None:
    """It is cheap, but anybody may send as much of it as the network takes."""

    async def answered() -> list[bytes]:
        limiter = HeldGate()
        server = WebServer(Application([]), 1000, limiter)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        held = []
        for number in range(3):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"\x16\x03 no http")
            held.append((reader, writer))
            while len(limiter.waiting) <= number:
                await asyncio.sleep(0.01)
        limiter.waiting[0]()
        limiter.make_room()  # the oldest that has had no turn gives way
        assert len(limiter.waiting) == 2
        limiter.waiting[-1]()
        found = [await came(reader) for reader, _ in held]
        for _, writer in held:
            writer.close()
        server.stop()
        await asyncio.sleep(0.1)
        return found

    assert asyncio.run(answered()) == [b"HTTP/1.1 400", b"", b"HTTP/1.1 400"]


class HeldGate(ConnectionLimiter):
    """Keeps the turn of each connection for the test."""

    def __init__(self) -> None:
        super().__init__(lambda _: False, time.monotonic)
        self.waiting: list[Callable[[], object]] = []

    def start(self, begin: Callable[[], object], spent_seconds: float) -> None:
        self.waiting.append(begin)

    def cancel(self, begin: Callable[[], object]) -> None:
        self.waiting.remove(begin)


async def came(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(12)
    except ConnectionResetError:
        return b""
