"""A server of one path, and clients that connect to it."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.server import ACCEPTS_A_TURN, WebServer

GOOD = b"GET / HTTP/1.1\r\nHost: x\r\nX-API-Key: good\r\n\r\n"
BAD = GOOD.replace(b"good", b"bad")


@stream_request_body
class Ok(RequestHandler):
    """Says how many bytes the body has."""

    def initialize(self) -> None:
        self._count = 0

    def get(self) -> None:
        self.write(f"{self._count} bytes")

    def data_received(self, chunk: bytes) -> None:
        self._count += len(chunk)

    post = get


class Service:
    """A server, and clients that connect to it."""

    def __init__(self, max_connections: int = 5000) -> None:
        self.limiter = ConnectionLimiter(lambda head: b"good" in head, time.monotonic)
        self.server = WebServer(Application([("/", Ok)]), max_connections, self.limiter)
        (self.listener,) = bind_sockets(0, "127.0.0.1", backlog=4096)
        self.server.add_sockets([self.listener])
        self.clients: list[socket.socket] = []
        self._unaccepted = 0

    def connect(self, sent: bytes = b"", count: int = 1) -> socket.socket:
        for _ in range(count):
            client = socket.create_connection(self.listener.getsockname())
            client.setblocking(False)
            client.sendall(sent)
            self.clients.append(client)
            self._unaccepted += 1
        return self.clients[-1]

    def accept_all(self) -> None:
        """Accept in one turn of the loop."""
        while self._unaccepted > 0:
            self.server._accept(self.listener)
            self._unaccepted -= ACCEPTS_A_TURN

    async def settle(self) -> None:
        """Accept over turns of the loop."""
        for _ in self.clients:
            await asyncio.sleep(0)


@asynccontextmanager
async def serving(max_connections: int = 5000) -> AsyncIterator[Service]:
    made = Service(max_connections)
    try:
        yield made
    finally:
        for client in made.clients:
            client.close()
        made.server.stop()
        await made.server.close_all_connections()


async def answer(client: socket.socket) -> bytes:
    async with asyncio.timeout(10):
        try:
            return (await asyncio.get_running_loop().sock_recv(client, 4096))[:12]
        except ConnectionResetError:
            return b""


async def send_by_the_byte(client: socket.socket, sent: bytes) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in sent:
        client.sendall(bytes([byte]))
        await asyncio.sleep(0.001)  # the kernel would else put some into one segment
