"""What is open, the wait until nothing is, and what is left of it: nothing."""

import asyncio
import gc
import time

import pytest
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from visionfleet.web.http.connection import Connection
from visionfleet.web.http.gate import Gate
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
    """A timer that outlives it keeps it in memory: 15 s of those that many strangers open."""

    async def left() -> int:
        gate = Gate(lambda _: False, time.monotonic)
        server = WebServer(Application([("/.*", RequestHandler)]), 1000, gate)
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
        while (found := connections()) and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        return found

    assert asyncio.run(left()) == 0


def connections() -> int:
    gc.collect()
    return sum(type(one) is Connection for one in gc.get_objects())
