"""Connections before their first headers and after their last response."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from visionfleet.web.http.connection_limiter import DRAIN_BYTES, ConnectionLimiter
from visionfleet.web.http.head import HEADER_BYTES, fault_of_start, is_whole
from visionfleet.web.http.pauses import FREE_LOOKS, pause_seconds
from visionfleet.web.http.stream import last_answer
from visionfleet.web.http.watch import Watch
from visionfleet.web.problems import Problem

# The time limit from accept to the first bytes, and again to the end of the first headers,
# including a TLS handshake.
HEADER_SECONDS = 15.0
# How long to keep reading after a response sent before the end of the body.
LINGER_SECONDS = 5.0
# How long reading pauses when all drained connections have read enough. If closed at once, a client
# that still sends, as nginx does, would see a reset instead of its answer.
PAUSE_SECONDS = 1.0
# What is taken at a time from a client that sends byte by byte: the kernel walks a segment for each
# byte, 28,000 in 10 ms, and at each look again if they stay there.
PIECE_BYTES = 2048


class Arrival:
    """A connection before its first headers are complete, which stay in the kernel until then, or
    are `taken` if they come in many pieces; with TLS, before its first bytes. `serve` is called
    with it when it may be served, or is closed.
    `serve` must not refer to it before: a reference cycle waits for the garbage collector.

    `tls`: whether TLS is expected here.
    """

    def __init__(
        self,
        client: socket.socket,
        limiter: ConnectionLimiter,
        watch: Watch,
        serve: Callable[["Arrival"], object],
        tls: bool = False,
    ) -> None:
        self._client, self._limiter, self._watch, self._serve = client, limiter, watch, serve
        self._tls = tls
        self.known = False
        self.taken = bytearray()
        self._is_over = False
        self._spent_seconds = 0.0  # on looks
        self._looks = self._came = 0  # and the bytes at the last one
        self._fault: Problem | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Look at what has come with it, and wait for more if that decides nothing."""
        if not self._look(False):
            self._limiter.expect(self)
            self._watch.add(self._client, self._look)
            self._limit()

    def abort(self) -> None:
        """Close it unless it is served; `serve` then finds it closed."""
        if not self._is_over:
            self._cease()
            self._limiter.cancel(self._begin)
            self._client.close()
            self._begin()

    def give_way(self) -> None:
        """Close it, unless its headers have just come, with a key."""
        if self._timer is not None:
            self._look(False, HEADER_BYTES)
        self.abort()

    def _limit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._end)

    def _look(self, has_ended: bool, most_taken: int = PIECE_BYTES) -> bool:
        """Whether what has come decides what becomes of the connection."""
        began = self._limiter.clock()
        try:
            if self._tls or self._looks < FREE_LOOKS:
                first = self._client.recv(HEADER_BYTES, socket.MSG_PEEK)
            else:
                has_ended = not self._take(most_taken)
                first = bytes(self.taken)
        except BlockingIOError:
            return False
        except OSError:
            first = b""
        if not first:
            self.abort()
            return True
        is_decided = (len(first) > self._came or has_ended) and self._is_decided(first, has_ended)
        self._spent_seconds += self._limiter.clock() - began
        if is_decided:
            self._decide(first)
        elif len(first) > self._came:
            self._await_more(len(first))
        return is_decided

    def _take(self, most: int) -> bool:
        """Read up to so much; False if the client has ended."""
        more = self._client.recv(min(most, HEADER_BYTES - len(self.taken)))
        self.taken += more
        return bool(more)

    def _await_more(self, came: int) -> None:
        """Wait for more than so many bytes, and longer from look to look."""
        if not self._came:
            self._limit()
        is_more_there = len(self.taken) == came >= self._came + PIECE_BYTES
        self._came = came
        if is_more_there and self._pause is None:
            self._watch.unmute(self._client)
            return
        self._looks += 1
        seconds = pause_seconds(self._looks)
        if seconds and self._pause is None:
            self._watch.mute(self._client)
            self._pause = asyncio.get_running_loop().call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._watch.unmute(self._client)

    def _is_decided(self, first: bytes, has_ended: bool) -> bool:
        self._fault = fault_of_start(first, self._tls)
        if self._fault is None and not (self._tls or is_whole(first)):
            if not has_ended:
                return False
            self._fault = Problem("bad_parameter", "the headers are cut off")
        return True

    def _decide(self, first: bytes) -> None:
        """Serve it: at once with a valid key, else in turn."""
        self._cease()
        self.known = self._fault is None and self._limiter.knows(first)
        if self.known:
            self._begin()
        else:
            self._limiter.expect(self)
            self._limiter.start(self._begin, self._spent_seconds)

    def _end(self) -> None:
        if not self._came:
            self.abort()
        elif not self._look(False, HEADER_BYTES):
            self._fault = Problem("too_slow", "the head of the request comes too slowly")
            self._cease()
            self._limiter.start(self._begin, self._spent_seconds)

    def _begin(self) -> None:
        self._is_over = True
        if self._fault is not None and self._client.fileno() != -1:
            with suppress(OSError):  # already closed
                self._client.send(last_answer(self._fault))
            Drain(socket.socket(fileno=self._client.detach()), self._limiter)
        self._serve(self)

    def _cease(self) -> None:
        """Wait for nothing; a timer that outlives the connection would keep it in memory."""
        self._watch.remove(self._client)
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        self._timer = self._pause = None


class Drain:
    """Reads and discards for a while: closing with unread data would reset the connection, and the
    client would lose the response.
    """

    def __init__(self, client: socket.socket, limiter: ConnectionLimiter) -> None:
        self._client, self._limiter = client, limiter
        self._loop = asyncio.get_running_loop()
        with suppress(OSError):  # already closed
            client.shutdown(socket.SHUT_WR)
        self._timer = self._loop.call_later(LINGER_SECONDS, self.give_way)
        self._pause: asyncio.TimerHandle | None = None
        limiter.arrive(self)
        self._resume()

    def give_way(self) -> None:
        self._limiter.leave(self)
        self._timer.cancel()
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._client)
        self._client.close()

    def _resume(self) -> None:
        self._loop.add_reader(self._client, self._read)

    def _read(self) -> None:
        if not self._limiter.may_drain():
            self._loop.remove_reader(self._client)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._resume)
            return
        try:
            more = bool(self._client.recv(DRAIN_BYTES))
        except BlockingIOError:
            return
        except OSError:
            more = False
        if not more:
            self.give_way()
