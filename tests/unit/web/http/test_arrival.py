"""New connections: those of clients with a key outlast any number of others."""

import asyncio

import pytest
from tornado.iostream import IOStream

from testkit.web.bare_server import BAD, GOOD, answer, send_by_the_byte, serving
from visionfleet.web.http import arrival, stream
from visionfleet.web.http.connection_limiter import ARRIVALS, MAX_UNAUTHENTICATED
from visionfleet.web.http.server import WebServer

MANY = MAX_UNAUTHENTICATED + 200


def test_key_that_came_is_seen_before_others_take_its_place() -> None:
    async def run() -> bytes:
        async with serving() as service:
            known = service.connect(GOOD)
            service.connect(count=MANY)
            service.accept_all()
            return await answer(known)

    assert asyncio.run(run()) == b"HTTP/1.1 200"


@pytest.mark.parametrize("theirs", [b"", b"GET /", BAD], ids=["silent", "half", "whole"])
@pytest.mark.parametrize("cut", [0, 5, len(GOOD) - 8])
def test_key_that_comes_late_is_waited_for(theirs: bytes, cut: int) -> None:
    async def run() -> bytes:
        async with serving() as service:
            known = service.connect(GOOD[:cut])
            service.accept_all()
            service.connect(theirs, MANY)
            await service.settle()
            known.sendall(GOOD[cut:])
            return await answer(known)

    assert asyncio.run(run()) == b"HTTP/1.1 200"


def test_last_look_finds_a_key_that_has_just_come() -> None:
    async def run() -> bytes:
        async with serving() as service:
            known = service.connect(GOOD[:5])
            service.accept_all()
            service.connect(count=ARRIVALS + 10)
            known.sendall(GOOD[5:])
            service.accept_all()
            return await answer(known)

    assert asyncio.run(run()) == b"HTTP/1.1 200"


def test_where_files_are_few_unauthenticated_give_way() -> None:
    async def run() -> list[bytes]:
        async with serving(max_connections=50) as service:
            oldest = service.connect()
            service.connect(count=60)
            service.accept_all()
            known = service.connect(GOOD)
            service.accept_all()
            return [await answer(known), await answer(oldest)]

    assert asyncio.run(run()) == [b"HTTP/1.1 200", b""]


def test_oldest_of_too_many_silent_ones_is_closed() -> None:
    async def run() -> bytes:
        async with serving() as service:
            oldest = service.connect()
            service.connect(count=ARRIVALS)
            service.accept_all()
            assert len(service.server.connections.open) == ARRIVALS
            return await answer(oldest)

    assert asyncio.run(run()) == b""


def test_those_who_left_before_their_turn_take_none() -> None:
    async def run() -> int:
        async with serving() as service:
            for client in (service.connect(BAD) for _ in range(ARRIVALS + 500)):
                service.accept_all()
                await asyncio.sleep(0)
                client.close()
            return len(service.limiter._turns._waiting)

    assert asyncio.run(run()) <= ARRIVALS + MAX_UNAUTHENTICATED


def test_client_that_had_its_turn_is_answered() -> None:
    """And not begun, and then evicted by those whose turn comes before its second one."""

    async def run() -> set[bytes]:
        async with serving() as service:
            service.connect(BAD, MAX_UNAUTHENTICATED + 20)
            return {await answer(client) for client in service.clients}

    assert asyncio.run(run()) == {b"HTTP/1.1 200"}


def test_request_does_not_wait_for_all_that_are_to_be_accepted() -> None:
    async def run() -> int:
        async with serving() as service:
            known = service.connect(GOOD)
            await answer(known)
            service.connect(count=ARRIVALS)
            known.sendall(GOOD)
            await answer(known)
            return len(service.server.connections.open)

    assert asyncio.run(run()) < ARRIVALS / 4


@pytest.mark.parametrize("sent", [b"GET /", BAD])
def test_request_does_not_wait_for_all_that_are_to_be_looked_at(sent: bytes) -> None:
    async def run() -> int:
        async with serving() as service:
            known = service.connect(GOOD)
            service.connect(count=MANY)
            await answer(known)
            await service.settle()
            for client in service.clients:
                client.sendall(GOOD if client is known else sent)
            await answer(known)
            return looked_at(service.server)

    assert asyncio.run(run()) < MANY / 4


def looked_at(server: WebServer) -> int:
    """The number of connections whose first bytes have been seen."""
    there = (one for one in server.connections.open if isinstance(one, arrival.Arrival))
    return sum(one._came > 0 or one._timer is None for one in there)


@pytest.mark.parametrize(("sent", "status"), [(b"GET /", b"HTTP/1.1 408"), (b"", b"")])
def test_head_that_does_not_come_is_ended(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, status: bytes
) -> None:
    monkeypatch.setattr(arrival, "HEADER_SECONDS", 0.2)

    async def run() -> bytes:
        async with serving() as service:
            return await answer(service.connect(sent))

    assert asyncio.run(run()) == status


def test_head_in_many_pieces_is_waited_for() -> None:
    async def run() -> bytes:
        async with serving() as service:
            slow = service.connect()
            for byte in GOOD:
                await asyncio.sleep(0.005)
                slow.sendall(bytes([byte]))
            return await answer(slow)

    assert asyncio.run(run()) == b"HTTP/1.1 200"


class Calls:
    def __init__(self, place: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self._called = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *arguments: self._call(*arguments))

    def _call(self, *arguments: object) -> object:
        self.times += 1
        return self._called(*arguments)


LONG = GOOD.replace(b"Host", b"X: " + b"y" * 300 + b"\r\nHost")


@pytest.mark.parametrize("before", [0, 1, 2])
def test_head_byte_by_byte_is_judged_a_few_times(
    before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the kernel as in Tornado's buffer, where a second head is read."""
    first = Calls(arrival, "fault_of_start", monkeypatch)
    later = Calls(stream, "fault_of_head", monkeypatch)

    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            for _ in range(before):
                client.sendall(GOOD)
                await answer(client)
            await send_by_the_byte(client, LONG)
            return await answer(client)

    assert asyncio.run(run()) == b"HTTP/1.1 200"
    assert first.times + later.times < 100  # of some 350 pieces


POST = b"POST / HTTP/1.1\r\nHost: x\r\nX-API-Key: good\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 300\r\n\r\n" + b"x" * 300,
        POST + CHUNKED + b"0" * 200 + b"2;x=%s\r\nzz\r\n0\r\nX-Sum: 1\r\n\r\n" % (b"y" * 100),
    ],
    ids=["plain", "chunks"],
)
def test_body_byte_by_byte_is_read_a_few_times(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Calls(IOStream, "_read_to_buffer_loop", monkeypatch)

    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            await send_by_the_byte(client, sent)
            return await answer(client)

    assert asyncio.run(run()) == b"HTTP/1.1 200"
    assert read.times < 100  # of 333 and more
