"""Clients over TLS that send byte by byte: a handshake step costs as much for a byte as for all."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from tornado.iostream import SSLIOStream
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from testkit.web.certificates import self_signed
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.server import WebServer, tls_context

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Ok(RequestHandler):
    def get(self) -> None:
        self.write("ok")


class SlowClient:
    """Speaks TLS, a byte at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._came, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._came, self._sent)

    async def ask(self, request: bytes) -> bytes:
        await self._shake_hands()
        self._tls.write(request)
        await self._send()
        while True:
            try:
                return self._tls.read(12)
            except ssl.SSLWantReadError:
                self._came.write(await self._reader.read(65536))

    async def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
                return
            except ssl.SSLWantReadError:
                await self._send()
                self._came.write(await self._reader.read(65536))

    async def _send(self) -> None:
        for byte in self._sent.read():
            self._writer.write(bytes([byte]))
            await asyncio.sleep(0.0005)


def test_handshake_byte_by_byte_takes_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    self_signed(tmp_path / "certificate", tmp_path / "key")
    context = tls_context(str(tmp_path / "certificate"), str(tmp_path / "key"))
    steps, shake_hands = [], SSLIOStream._do_ssl_handshake

    def step(stream: SSLIOStream) -> None:
        steps.append(stream)
        shake_hands(stream)

    monkeypatch.setattr(SSLIOStream, "_do_ssl_handshake", step)

    async def run() -> bytes:
        limiter = ConnectionLimiter(None, time.monotonic, hides=True)
        server = WebServer(Application([("/", Ok)]), 100, limiter, tls=context)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = await SlowClient(reader, writer).ask(REQUEST)
        writer.close()
        server.stop()
        await server.close_all_connections()
        return found

    assert asyncio.run(run()) == b"HTTP/1.1 200"
    assert len(steps) < 100  # of some 600
