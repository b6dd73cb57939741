"""Watches many connections for new bytes, and looks at few of them in an iteration of the loop."""

import asyncio
import select
import socket
from collections.abc import Callable

# The event loop would look at all that are ready in one iteration, and block others for so long.
LOOKS_A_TURN = 4
# Edge-triggered: once for all that has come, which stays in the kernel.
_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class Watch:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._looks: dict[int, Callable[[bool], object]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def add(self, client: socket.socket, look: Callable[[bool], object]) -> None:
        """Call `look` when bytes have come; it is told whether the client has sent all it will."""
        self._looks[client.fileno()] = look
        self._epoll.register(client, _EVENTS)

    def mute(self, client: socket.socket) -> None:
        """Report nothing but its end until `unmute`."""
        self._epoll.modify(client, select.EPOLLET)

    def unmute(self, client: socket.socket) -> None:
        """Report what has come, also if it was reported before."""
        self._epoll.modify(client, _EVENTS)

    def remove(self, client: socket.socket) -> None:
        """Do so before it is closed; idempotent."""
        if self._looks.pop(client.fileno(), None):
            self._epoll.unregister(client)

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _look(self) -> None:
        for number, events in self._epoll.poll(0, LOOKS_A_TURN):
            if look := self._looks.get(number):  # it may have made another give way
                look(bool(events & select.EPOLLRDHUP))
