"""Attacks on a web daemon. Each returns in a few words what came back."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import uvloop

CLOSED = "closed"
FORM = b"Content-Type: multipart/form-data; boundary=X\r\n"


class Target:
    """Where a daemon listens, and a key that opens it."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        self.key = key

    def head(self, line: str, *more: bytes, key: str | None = None) -> bytes:
        """Write the head of a request."""
        shown = self.key if key is None else key
        first = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {shown}\r\n".encode()
        return first + b"".join(more) + b"\r\n"

    def ask(self, *pieces: bytes) -> str:
        """Send bytes and tell the status of what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            with suppress(OSError):  # it may close while we still send
                for piece in pieces:
                    client.sendall(piece)
            return status(received(client))


def received(client: socket.socket) -> bytes:
    try:
        return client.recv(65536)
    except ConnectionError:
        return b""


def status(answer: bytes) -> str:
    return answer.split()[1].decode() if answer.startswith(b"HTTP/1.1 ") else CLOSED


def counted(found: Sequence[str]) -> str:
    return ", ".join(sorted(Counter(found)))


def form(target: Target, body: bytes) -> str:
    length = b"Content-Length: %d\r\n" % len(body)
    return target.ask(target.head("POST /v1/jobs", FORM, length), body)


async def drip(target: Target, start: bytes, seconds: float) -> str:
    """Send a start and then one byte a second, until the other side has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    writer.write(start)
    answer, deadline = b"", time.monotonic() + seconds
    while not answer and time.monotonic() < deadline:
        try:
            writer.write(b"a")
            answer = await asyncio.wait_for(reader.read(65536), 1.0)
            if not answer:
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        answer = answer or b"HTTP/1.1 held"
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return status(answer)


async def together(count: int, make: Callable[[], Awaitable[str]]) -> str:
    return counted(await asyncio.gather(*(make() for _ in range(count))))


def slow_headers(target: Target) -> str:
    return asyncio.run(together(200, lambda: drip(target, b"POST / HTTP/1.1\r\nX: ", 30)))


def slow_bodies(target: Target) -> str:
    head = target.head("POST /v1/jobs", b"Content-Length: 100000\r\n")
    return asyncio.run(together(200, lambda: drip(target, head, 40)))


def silent_connections(target: Target) -> str:
    clients = [socket.create_connection(("127.0.0.1", target.port), 30) for _ in range(1000)]
    try:
        return counted([status(received(client)) for client in clients])
    finally:
        for client in clients:
            client.close()


def declared_ten_gigabytes(target: Target) -> str:
    return target.ask(target.head("POST /v1/jobs", b"Content-Length: 10000000000\r\n"), b"x" * 1000)


def chunked_without_end(target: Target) -> str:
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    head = target.head("POST /v1/jobs", b"Transfer-Encoding: chunked\r\n")
    return target.ask(head, *(chunk for _ in range(10_000)))


def ten_thousand_parts(target: Target) -> str:
    part = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    return form(target, part * 10_000 + b"--X--\r\n")


def malformed_forms(target: Target) -> str:
    head = b'--X\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'
    bodies = [
        b"\x00" * 1000,
        head + b"no end",
        head.replace(b"form-data", b"\xff\xfe") + b"\r\n--X-",
        b"--X\r\n" + b"A" * 100_000,
        b"--X\r\n" + b"a: b\r\n" * 10_000 + b"\r\n--X--",
        b"--X\r\nContent-Type: image/png\r\n\r\nx\r\n--X--",
        b"\r\n" * 50_000,
    ]
    length = b"Content-Length: 5\r\n"
    plain = b"Content-Type: multipart/form-data\r\n"
    found = [form(target, body) for body in bodies]
    return counted([*found, target.ask(target.head("POST /", plain, length), b"--X--")])


def many_headers(target: Target) -> str:
    return target.ask(b"GET / HTTP/1.1\r\n", *(b"X-%d: y\r\n" % i for i in range(10_000)), b"\r\n")


def one_large_header(target: Target) -> str:
    return target.ask(b"GET / HTTP/1.1\r\nX: ", *(b"y" * 1000 for _ in range(10_000)), b"\r\n\r\n")


def path_tricks(target: Target) -> str:
    return counted([target.ask(target.head(f"GET {path}")) for path in PATHS])


def smuggled_requests(target: Target) -> str:
    both = (b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n")
    twice = (b"Content-Length: 6\r\n", b"Content-Length: 7\r\n")
    odd = (b"Transfer-Encoding: chunked, identity\r\n",)
    signed = (b"Content-Length: +6\r\n",)
    bare = (b"Content-Length : 6\r\n",)
    heads = [target.head("POST /v1/jobs", *one) for one in (both, twice, odd, signed, bare)]
    return counted([target.ask(head, b"0\r\n\r\nG") for head in heads])


def wrong_keys(target: Target, per_second: int = 400, seconds: float = 4) -> str:
    """Send wrong keys at a steady rate, over twenty connections."""

    took: list[float] = []

    async def client() -> list[str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        wrong = target.key[:-1] + ("0" if target.key[-1] != "0" else "1")
        started = time.monotonic()
        found: list[str] = []
        for number in range(int(per_second * seconds / 20)):
            await asyncio.sleep(max(0.0, started + number * 20 / per_second - time.monotonic()))
            writer.write(target.head("GET /v1/fleet", key=wrong))
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r")[0])
            await reader.readexactly(length)
            found.append(status(answer))
        took.append(time.monotonic() - started)
        writer.close()
        await writer.wait_closed()
        return found

    async def clients() -> list[str]:
        parts = await asyncio.gather(*(client() for _ in range(20)))
        return [one for part in parts for one in part]

    found = counted(uvloop.run(clients()))
    print(f"{per_second * seconds / max(took):.0f} wrong keys a second")
    return found


PATHS = (
    *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/v1/jobs/..%2F..%2Ffleet%2Flease.json"),
    *("//etc/passwd", "/v1/../v1/fleet/..", "/v1/jobs/%00", "/.git/config", "/v1/jobs/\\..\\"),
)
# What is tried, in words, and how.
ATTACKS: dict[str, Callable[[Target], str]] = {
    "200 clients send headers at one byte a second": slow_headers,
    "200 clients send bodies at one byte a second": slow_bodies,
    "1,000 connections that send nothing": silent_connections,
    "a body with a Content-Length of 10 GB": declared_ten_gigabytes,
    "a chunked body without end": chunked_without_end,
    "a form of 10,000 parts": ten_thousand_parts,
    "malformed forms: no boundary, no end, no header, endless headers": malformed_forms,
    "10,000 headers": many_headers,
    "a header of 10 MB": one_large_header,
    "paths with `..`, `%2e`, `%00`, `//`": path_tricks,
    "two lengths, a length and chunks, odd lengths": smuggled_requests,
    "wrong keys at 400 a second": wrong_keys,
}
