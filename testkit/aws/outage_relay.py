"""A TCP relay that cuts off the server behind it and brings it back at the same address."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from testkit.processes.ports import free_port


class OutageRelay:
    """Forwards connections to a port while it is open; closed, nothing listens at its own."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._sockets: list[socket.socket] = []
        self._forwarders: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self.port = free_port()

    def open(self) -> None:
        """Begin to forward."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,))
        self._acceptor.start()

    def close(self) -> None:
        """Refuse new connections, then cut those there are; twice does no harm."""
        if self._listener is None or self._acceptor is None:
            return
        end(self._listener)
        self._acceptor.join()  # from now on no connection is added
        for one in self._sockets:
            end(one)
        for thread in self._forwarders:
            thread.join()
        for one in (self._listener, *self._sockets):
            one.close()
        self._listener, self._acceptor = None, None
        self._sockets, self._forwarders = [], []

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._forwarders.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                inner, _ = listener.accept()
                outer = socket.create_connection(self._target)
                self._sockets += [inner, outer]
                self._spawn(partial(self._forward, inner, outer))
                self._spawn(partial(self._forward, outer, inner))

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        end(sink)


def end(one: socket.socket) -> None:
    """Wake whoever waits on a socket, on both sides."""
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
