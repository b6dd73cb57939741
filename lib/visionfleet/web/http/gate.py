"""Strangers, who have not shown a key: they have few connections, and take turns. No I/O here."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from visionfleet.web.http.rate_limit import Bucket, take

# Connections on which no key was shown yet; one more takes the place of the oldest.
STRANGERS = 256
# What is read after a refusal, so that its client sees it, for all connections together.
DRAIN_BYTES = 64 << 10
DRAINS_PER_SECOND = 64.0

Knows = Callable[[bytes], bool]


class Closable(Protocol):
    def abort(self) -> None:
        """Close at once."""


class Turns:
    """Lets those who wait go on, one in each turn of the loop: many at once hold nobody up."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def mine(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        if len(self._waiting) == 1:
            loop.call_soon(self._next)
        await turn

    def _next(self) -> None:
        turn = self._waiting.popleft()
        if not turn.done():
            turn.set_result(None)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)


class Gate:
    """`knows` tells whether a request's head shows a good key; None: no keys are asked for."""

    def __init__(self, knows: Knows | None, clock: Callable[[], float]) -> None:
        self._knows = knows
        self._clock = clock
        self._strangers: dict[Closable, None] = {}  # the oldest first
        self._heads, self._pieces = Turns(), Turns()
        self._drained: Bucket | None = None

    def arrive(self, connection: Closable) -> None:
        """Count a connection in, as a stranger's until it shows a key."""
        if self._knows is None:
            return
        self._strangers[connection] = None
        if len(self._strangers) > STRANGERS:
            oldest = next(iter(self._strangers))
            self.leave(oldest)
            oldest.abort()

    def leave(self, connection: Closable) -> None:
        self._strangers.pop(connection, None)

    async def admit(self, connection: Closable, head: bytes) -> None:
        """Let a request go on: at once with a good key, else when it is its turn."""
        if self._knows is not None and self._knows(head):
            self.leave(connection)
        else:
            await self._heads.mine()

    async def next_piece(self) -> None:
        """Wait for the turn of one more piece of a body."""
        await self._pieces.mine()

    def may_drain(self) -> bool:
        """Tell whether one more piece may be read after a refusal."""
        self._drained, wait = take(self._drained, DRAINS_PER_SECOND, self._clock())
        return not wait
