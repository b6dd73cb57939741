"""Strangers, who have not shown a key: they have few connections, and take turns. No I/O here."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from visionfleet.web.http.rate_limit import Bucket, take

# Connections on which no key was shown yet; one more takes the place of the oldest.
STRANGERS = 256
# Strangers have one turn, and then the loop is without them for so many times as long.
REST = 4.0
# Passes of the loop from a turn to the end of what it leads to, the answer and its close.
TURN_PASSES = 8
# What is read after a refusal, so that its client sees it: pieces, for all connections together.
DRAIN_BYTES = 64 << 10
DRAINS_PER_SECOND = 64.0

Knows = Callable[[bytes], bool]


class Closable(Protocol):
    def abort(self) -> None:
        """Close at once."""


class Turns:
    """Calls one after the other, one in each turn of the loop: many at once hold nobody up.

    It `rests` after each for that many times as long as the turn took, with all that it led to.
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
    """`knows` tells whether a request's head shows a good key; None: no keys are asked for.

    TLS `hides` the first bytes, so clients with a key wait there among strangers: none rests then.
    """

    def __init__(
        self, knows: Knows | None, clock: Callable[[], float], hides: bool = False
    ) -> None:
        self._knows = knows
        self._clock = clock
        self._strangers: dict[Closable, None] = {}  # the oldest first
        self._turns = Turns(clock, 0.0 if knows is None else REST)
        self._starts = Turns(clock) if hides else self._turns
        self._pieces = Turns(clock)
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

    def start(self, first: bytes, serve: Callable[[], object]) -> None:
        """Have a connection served, by what came first: at once with a good key, else in turn."""
        if self._knows is not None and self._knows(first):
            serve()
        else:
            self._starts.call(serve)

    async def admit(self, connection: Closable, head: bytes) -> None:
        """Let a request go on: at once with a good key, else in turn."""
        if self._knows is not None and self._knows(head):
            self.leave(connection)
        else:
            await self._turns.mine()

    async def next_piece(self) -> None:
        """Wait for the turn of one more piece of a body."""
        await self._pieces.mine()

    def may_drain(self) -> bool:
        """Tell whether one more piece may be read after a refusal."""
        self._drained, wait = take(self._drained, DRAINS_PER_SECOND, self._clock())
        return not wait
