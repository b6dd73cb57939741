"""First headers that come in many pieces are taken out of the kernel, and lose nothing by it."""

import asyncio
import socket

import pytest

from testkit.web.bare_server import GOOD, send_by_the_byte, serving

POST = b"POST / HTTP/1.1\r\nHost: x\r\nX-API-Key: good\r\nX-Long: "
BODY = b"Content-Length: 5000\r\n\r\n" + b"x" * 5000


async def whole_answer(client: socket.socket, end: bytes) -> bytes:
    found = b""
    async with asyncio.timeout(10):
        while end not in found and (
            more := await asyncio.get_running_loop().sock_recv(client, 4096)
        ):
            found += more
    return found


@pytest.mark.parametrize("long", [0, 3000, 20_000])
@pytest.mark.parametrize("pieces", [5, 20, 60])
def test_rest_of_the_head_and_a_body_come_at_once(pieces: int, long: int) -> None:
    sent = POST + b"y" * long + b"\r\n" + BODY

    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            await send_by_the_byte(client, sent[:pieces])
            await asyncio.get_running_loop().sock_sendall(client, sent[pieces:])
            return await whole_answer(client, b"5000 bytes")

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")


def test_request_behind_it_is_answered() -> None:
    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            await send_by_the_byte(client, GOOD[:20])
            client.sendall(GOOD[20:] + GOOD.replace(b"GET / ", b"GET /no "))
            return await whole_answer(client, b"HTTP/1.1 404")

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("pieces", [3, 10, 40])
def test_head_that_is_cut_off_is_told(pieces: int) -> None:
    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            await send_by_the_byte(client, GOOD[:pieces])
            client.shutdown(socket.SHUT_WR)
            return await whole_answer(client, b"cut off")

    assert b"400 Bad Request" in asyncio.run(run())


def test_head_without_end_is_too_large() -> None:
    async def run() -> bytes:
        async with serving() as service:
            client = service.connect()
            await send_by_the_byte(client, POST)
            await asyncio.get_running_loop().sock_sendall(client, b"y" * 40_000)
            return await whole_answer(client, b"}")

    assert b"431" in asyncio.run(run()).splitlines()[0]
