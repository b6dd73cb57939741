"""Hostile clients without a key, many at once, for as long as they are let.

Run as `python -m testkit.web.hostile_clients PORT COUNT KIND...` it is a process of its own, of the
lowest priority: hostile clients have machines of their own.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvloop

from testkit.processes.daemons import Process, started_module

Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HOST = b" HTTP/1.1\r\nHost: x\r\n"
WRONG = b"X-API-Key: vf_0000000000_" + b"0" * 64 + b"\r\n"
JOB = b"/v1/jobs/01m87rqdbg5j9sg3a7f0rcapcx"
PIECE = 64 << 10
POST = b"POST /v1/jobs" + HOST


def asking(head: bytes) -> Client:
    """Ask again as soon as there is an answer."""

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(head + b"\r\n")
            await writer.drain()
            await read_answer(reader)

    return ask


async def read_answer(reader: asyncio.StreamReader) -> None:
    answer = await reader.readuntil(b"\r\n\r\n")
    length = answer.lower().partition(b"content-length: ")[2].split(b"\r")[0]
    await reader.readexactly(int(length or 0))


def dripping(start: bytes) -> Client:
    """Send a start, and then a byte a second."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not reader.at_eof():
            await asyncio.sleep(1)
            writer.write(b"a")
            await writer.drain()

    return drip


def by_the_byte(sent: bytes, first: bytes = b"") -> Client:
    """Send a byte at a time, as quickly as they are taken, perhaps after a whole request."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if first:
            writer.write(first)
            await read_answer(reader)
        for number in range(len(sent)):
            writer.write(sent[number : number + 1])
            await writer.drain()
            await asyncio.sleep(0)
        await read_answer(reader)

    return send


def pouring(start: bytes, more: bytes) -> Client:
    """Send without an end, and read nothing."""

    async def pour(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(more)
            await writer.drain()

    return pour


def once(sent: bytes) -> Client:
    """Send, and wait for the end."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        while await reader.read(PIECE):
            pass

    return send


async def leave(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Come and go."""


def posting(path: bytes, kind: bytes, start: bytes, unit: bytes) -> Client:
    """Send a body of 80 MB, and read the answer."""
    piece, pieces = (unit * (PIECE // len(unit) + 1))[:PIECE], (80 << 20) // PIECE
    piece = piece[: len(piece) - len(piece) % len(unit)]
    length = b"Content-Length: %d\r\n" % (len(start) + len(piece) * pieces)
    head = b"POST " + path + HOST + b"Content-Type: " + kind + b"\r\n" + length + b"\r\n"

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head + start)
        for _ in range(pieces):
            writer.write(piece)
            await writer.drain()
        await reader.read(PIECE)

    return post


_TENSOR = b'{"inputs":[{"name":"i","datatype":"BYTES","shape":[1],"data":['
_INFER, _JSON = b"/v2/models/default/infer", b"application/json"
_FORM = b"multipart/form-data; boundary=X"
_PART = b'--X\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"

GET = b"GET /v1/fleet" + HOST + b"\r\n"
LONG = b"GET /v1/fleet" + HOST + b"X: " + b"y" * 28000 + b"\r\n\r\n"

KINDS: dict[str, Client] = {
    "silent connections": once(b""),
    "connections that come and go": leave,
    "heads at one byte a second": dripping(b"GET / HTTP/1.1\r\nX: "),
    "heads of 6,000 lines": once(b"GET /" + HOST + b"a:b\r\n" * 6000 + b"\r\n"),
    "heads of 30 KB": asking(b"GET /v1/fleet" + HOST + b"X: " + b"y" * 30000 + b"\r\n"),
    "heads byte by byte": by_the_byte(LONG),
    "second heads byte by byte": by_the_byte(LONG, GET),
    "queries of 10,000 members": once(b"GET /?" + b"a&" * 10000 + HOST + b"\r\n"),
    "wrong keys": asking(b"GET /v1/fleet" + HOST + WRONG),
    "long polls": asking(b"GET " + JOB + b"?wait=300" + HOST),
    "the API's description": asking(b"GET /openapi.json" + HOST),
    "the page": asking(b"GET /" + HOST),
    "paths that are not there": asking(b"GET /" + b"a" * 4000 + HOST),
    "answers that are not read": pouring(b"", (b"GET /openapi.json" + HOST + b"\r\n") * 50),
    "no HTTP": once(b"\x16\x03\x01 no http \xff\r\n\r\n"),
    "bodies at one byte a second": dripping(POST + b"Content-Length: 1000000\r\n\r\n"),
    "bodies of 80 MB": posting(b"/v1/jobs", b"image/png", b"", bytes(1024)),
    "chunks of one byte": pouring(POST + CHUNKED, b"1\r\nx\r\n" * 5000),
    "a chunked body without end": pouring(POST + CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
    "forms of line ends": posting(b"/v1/jobs", _FORM, _PART, b"\r\n"),
    "JSON of tiny values": posting(b"/v1/jobs", _JSON, b'{"upload":"x","z":[', b"[],"),
    "tensors of tiny values": posting(_INFER, _JSON, _TENSOR, b'{"a":1},'),
    "tensors of one long string": posting(_INFER, _JSON, _TENSOR + b'"', b"QUJD"),
}


async def one(port: int, client: Client) -> None:
    """Be one client, and come again when the server has had enough."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await client(reader, writer)
            finally:
                writer.close()
        await asyncio.sleep(0.01)


async def many(port: int, count: int, kinds: list[str]) -> None:
    print("ready", flush=True)
    await asyncio.gather(*(one(port, KINDS[kind]) for kind in kinds for _ in range(count)))


@contextmanager
def hostile_clients(port: int, count: int, kinds: list[str], folder: Path) -> Iterator[Process]:
    """Let `count` clients of each kind come."""
    argv = (str(port), str(count), *kinds)
    with started_module(
        "testkit.web.hostile_clients", *argv, log=folder / "hostile.log"
    ) as process:
        process.wait_for_output("ready", 30)
        yield process


if __name__ == "__main__":
    os.nice(19)
    uvloop.run(many(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
