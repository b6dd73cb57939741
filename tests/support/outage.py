"""A TCP relay for tests: the server behind it can be cut off and come back at one address."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from tests.support.ports import free_port


class Relay:
    """Forwards connections to a port while it is open; closed, nothing listens at its own."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port = free_port()

    def open(self) -> None:
        """Begin to forward."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._sockets.append(listener)
        self._spawn(partial(self._accept, listener))

    def close(self) -> None:
        """Cut every connection and refuse new ones."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()
        self._sockets, self._threads = [], []

    def _spawn(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
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
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
