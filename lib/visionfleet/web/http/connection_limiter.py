"""Limits unauthenticated connections: few at a time, served in turns. No I/O here."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from visionfleet.web.http.rate_limit import Bucket, take

# Connections without a key; a further one evicts the oldest.
MAX_UNAUTHENTICATED = 256
# Connections whose first headers have not come; each costs little, and may yet show a key.
ARRIVALS = 1024
# After an unauthenticated client's turn, all such pause this many times its duration.
REST = 4.0
# Loop iterations from a turn to the end of its consequences: the response and its close.
TURN_PASSES = 8
# After a refusal the rest is read so that the client sees the response: the piece size, and pieces
# per second over all connections.
DRAIN_BYTES = 64 << 10
DRAINS_PER_SECOND = 64.0

Knows = Callable[[bytes], bool]


class Evictable(Protocol):
    def give_way(self) -> None:
        """Close at once."""


class Places:
    """A limited number of connections; one more evicts the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[Evictable, None] = OrderedDict()  # oldest first

    def take(self, one: Evictable) -> None:
        self._held[one] = None
        if len(self._held) > self._most:
            self.evict()

    def leave(self, one: Evictable) -> None:
        self._held.pop(one, None)

    def evict(self) -> bool:
        """Evict the oldest, if there is any."""
        if not self._held:
            return False
        self._held.popitem(last=False)[0].give_way()
        return True


class Turns:
    """Runs callbacks one per iteration of the event loop, so that many at once do not block it.

    After each it pauses `rests` times as long as the callback took, including its consequences, and
    what had been spent on it before.
    """

    def __init__(self, clock: Callable[[], float], rests: float = 0.0) -> None:
        self._clock = clock
        self._rests = rests
        self._waiting: OrderedDict[Callable[[], object], float] = OrderedDict()
        self._under_way = False

    def call(self, waiter: Callable[[], object], spent_seconds: float = 0.0) -> None:
        self._waiting[waiter] = spent_seconds
        if not self._under_way:
            self._under_way = True
            asyncio.get_running_loop().call_soon(self._next)

    def cancel(self, waiter: Callable[[], object]) -> None:
        """Take a waiter's turn away; idempotent."""
        self._waiting.pop(waiter, None)

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
            waiter, spent_seconds = self._waiting.popitem(last=False)
            started = self._clock() - spent_seconds
            waiter()
            self._follow(started, TURN_PASSES if self._rests else 0)

    def _follow(self, started: float, passes: int) -> None:
        loop = asyncio.get_running_loop()
        if passes:
            loop.call_soon(self._follow, started, passes - 1)
        elif self._rests:
            loop.call_later(self._rests * (self._clock() - started), self._next)
        else:
            loop.call_soon(self._next)


class ConnectionLimiter:
    """`knows` tells whether raw headers contain a valid key; None: no keys are required.

    TLS `hides` the headers before the handshake, so clients with keys queue among those without
    there, without pauses.
    """

    def __init__(
        self, knows: Knows | None, clock: Callable[[], float], hides: bool = False
    ) -> None:
        self._knows = knows
        self.clock = clock
        self._arrivals, self._unauthenticated = Places(ARRIVALS), Places(MAX_UNAUTHENTICATED)
        self._turns = Turns(clock, 0.0 if knows is None else REST)
        self._starts = Turns(clock) if hides else self._turns
        self._pieces = Turns(clock)
        self._drained: Bucket | None = None

    def expect(self, arrival: Evictable) -> None:
        """Count a connection whose first headers have not come."""
        if self._knows is not None:
            self._arrivals.take(arrival)

    def arrive(self, connection: Evictable) -> None:
        """Count a connection as unauthenticated until it shows a key."""
        if self._knows is not None:
            self._unauthenticated.take(connection)

    def leave(self, connection: Evictable) -> None:
        self._arrivals.leave(connection)
        self._unauthenticated.leave(connection)

    def make_room(self) -> bool:
        """Evict the oldest connection that has shown no key, if there is any."""
        return self._arrivals.evict() or self._unauthenticated.evict()

    def knows(self, head: bytes) -> bool:
        return self._knows is not None and self._knows(head)

    def start(self, begin: Callable[[], object], spent_seconds: float) -> None:
        """Begin to serve a connection that has shown no key, in turn; so long it took already."""
        self._starts.call(begin, spent_seconds)

    def cancel(self, begin: Callable[[], object]) -> None:
        self._starts.cancel(begin)

    async def admit(self, connection: Evictable, head: bytes) -> None:
        """Let a request proceed: at once with a valid key, else in turn."""
        if self.knows(head):
            self.leave(connection)
        else:
            await self._turns.mine()

    async def next_piece(self) -> None:
        """Wait for the turn of the next piece of a body."""
        await self._pieces.mine()

    def may_drain(self) -> bool:
        """Whether another piece may be read after a refusal."""
        self._drained, wait = take(self._drained, DRAINS_PER_SECOND, self.clock())
        return not wait
