"""Limits connections without a valid API key (strangers): few at a time, served in turns. No I/O
here.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from visionfleet.web.http.rate_limit import Bucket, take

# Connections without a key; a further one evicts the oldest.
STRANGERS = 256
# After a stranger's turn, strangers pause this many times its duration.
REST = 4.0
# Loop iterations from a turn to the end of its consequences: the response and its close.
TURN_PASSES = 8
# After a refusal the rest is read so that the client sees the response: the piece size, and pieces
# per second over all connections.
DRAIN_BYTES = 64 << 10
DRAINS_PER_SECOND = 64.0

Knows = Callable[[bytes], bool]


class Closable(Protocol):
    def abort(self) -> None:
        """Close at once."""


class Turns:
    """Runs callbacks one per iteration of the event loop, so that many at once do not block it.

    After each it pauses `rests` times as long as the callback took, including its consequences.
    """

    def __init__(self, clock: Callable[[], float], rests: float = 0.0) -> None:
        self._clock = clock
        self._rests = rests
        self._waiting: deque[Callable[[], object]] = deque()
        self._under_way = False

    def call(self, waiter: Callable[[], object]) -> None:
        self._waiting.append(waiter)
        if not self._under_way:
            self._under_way = True
            asyncio.get_running_loop().call_soon(self._next)

    async def mine(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def mine() -> None:
            if not turn.done():
                turn.set_result(None)

        self.call(mine)
        await turn

    def _next(self) -> None:
        self._under_way = bool(self._waiting)
        if self._under_way:
            started = self._clock()
            self._waiting.popleft()()
            self._follow(started, TURN_PASSES if self._rests else 0)

    def _follow(self, started: float, passes: int) -> None:
        loop = asyncio.get_running_loop()
        if passes:
            loop.call_soon(self._follow, started, passes - 1)
        elif self._rests:
            loop.call_later(self._rests * (self._clock() - started), self._next)
        else:
            loop.call_soon(self._next)


class Gate:
    """`knows` tells whether raw headers contain a valid key; None: no keys are required.

    TLS `hides` the headers before the handshake, so clients with keys queue among strangers there,
    without pauses.
    """

    def __init__(
        self, knows: Knows | None, clock: Callable[[], float], hides: bool = False
    ) -> None:
        self._knows = knows
        self._clock = clock
        self._strangers: dict[Closable, None] = {}  # oldest first
        self._turns = Turns(clock, 0.0 if knows is None else REST)
        self._starts = Turns(clock) if hides else self._turns
        self._pieces = Turns(clock)
        self._drained: Bucket | None = None

    def arrive(self, connection: Closable) -> None:
        """Count a connection as a stranger until it shows a key."""
        if self._knows is None:
            return
        self._strangers[connection] = None
        if len(self._strangers) > STRANGERS:
            oldest = next(iter(self._strangers))
            self.leave(oldest)
            oldest.abort()

    def leave(self, connection: Closable) -> None:
        self._strangers.pop(connection, None)

    def start(self, first: bytes, serve: Callable[[], object]) -> None:
        """Serve a connection by its first bytes: at once with a valid key, else in turn."""
        if self._knows is not None and self._knows(first):
            serve()
        else:
            self._starts.call(serve)

    async def admit(self, connection: Closable, head: bytes) -> None:
        """Let a request proceed: at once with a valid key, else in turn."""
        if self._knows is not None and self._knows(head):
            self.leave(connection)
        else:
            await self._turns.mine()

    async def next_piece(self) -> None:
        """Wait for the turn of the next piece of a body."""
        await self._pieces.mine()

    def may_drain(self) -> bool:
        """Whether another piece may be read after a refusal."""
        self._drained, wait = take(self._drained, DRAINS_PER_SECOND, self._clock())
        return not wait
