import asyncio
import time
from itertools import pairwise

from visionfleet.web.http.connection_limiter import (
    DRAINS_PER_SECOND,
    MAX_UNAUTHENTICATED,
    ConnectionLimiter,
    Turns,
)
from visionfleet.web.http.rate_limit import BURST_SECONDS


class Client:
    def __init__(self) -> None:
        self.closed = False

    def give_way(self) -> None:
        self.closed = True


def limiter() -> ConnectionLimiter:
    return ConnectionLimiter(lambda head: b"good" in head, lambda: 0.0)


def test_one_waiter_goes_on_in_each_turn_of_the_loop() -> None:
    async def run() -> list[int]:
        turns, seen = Turns(lambda: 0.0), []
        on: list[int] = []

        async def waiter(number: int) -> None:
            await turns.mine()
            on.append(number)

        waiters = [asyncio.ensure_future(waiter(number)) for number in range(5)]
        for _ in range(9):
            await asyncio.sleep(0)
            seen.append(len(on))
        await asyncio.gather(*waiters)
        assert on == list(range(5))
        return [later - earlier for earlier, later in pairwise(seen)]

    assert max(asyncio.run(run())) == 1


def test_rest_is_as_long_as_a_turn_and_what_it_led_to() -> None:
    """The answer is made passes of the loop after the turn, and costs the most."""

    async def run() -> float:
        turns, began = Turns(time.monotonic, rests=4.0), list[float]()

        async def waiter(works: float) -> None:
            await turns.mine()
            began.append(time.monotonic())
            for _ in range(5):
                await asyncio.sleep(0)
            time.sleep(works)

        await asyncio.gather(waiter(0.05), waiter(0.0))
        return began[1] - began[0]

    assert asyncio.run(run()) >= 5 * 0.05


def test_rest_is_as_long_as_looks_before_the_turn_too() -> None:
    async def run() -> float:
        turns, began = Turns(time.monotonic, rests=4.0), list[float]()
        for spent_seconds in (0.05, 0.0):
            turns.call(lambda: began.append(time.monotonic()), spent_seconds)
        while len(began) < 2:
            await asyncio.sleep(0.001)
        return began[1] - began[0]

    assert asyncio.run(run()) >= 4 * 0.05


def test_oldest_client_without_a_key_gives_way() -> None:
    async def run() -> None:
        strict, known = limiter(), Client()
        strict.arrive(known)
        await strict.admit(known, b"good key")
        unknown = [Client() for _ in range(MAX_UNAUTHENTICATED + 1)]
        for client in unknown:
            strict.arrive(client)
        assert [one.closed for one in unknown] == [True] + [False] * MAX_UNAUTHENTICATED
        assert not known.closed

    asyncio.run(run())


def test_good_key_does_not_wait_for_its_turn() -> None:
    async def run() -> None:
        strict = limiter()
        waiting = [asyncio.ensure_future(strict.admit(Client(), b"bad")) for _ in range(50)]
        await asyncio.sleep(0)
        await strict.admit(Client(), b"good")
        assert sum(one.done() for one in waiting) <= 1
        await asyncio.gather(*waiting)

    asyncio.run(run())


def test_connections_are_not_counted_where_no_keys_are_asked_for() -> None:
    open_limiter, clients = (
        ConnectionLimiter(None, lambda: 0.0),
        [Client() for _ in range(MAX_UNAUTHENTICATED + 10)],
    )
    for client in clients:
        open_limiter.arrive(client)
    assert not any(client.closed for client in clients)


def test_bytes_after_a_refusal_are_few_for_all_together() -> None:
    strict = limiter()
    allowed = sum(strict.may_drain() for _ in range(10_000))
    assert allowed == DRAINS_PER_SECOND * BURST_SECONDS
