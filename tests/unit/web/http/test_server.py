"""What is open, and the wait until nothing is."""

import asyncio

from visionfleet.web.http.server import OpenSet


def test_wait_until_none_is_open() -> None:
    async def waited() -> None:
        requests = OpenSet()
        assert await requests.none_left(0)
        one, two = object(), object()
        requests.open |= {one, two}
        assert not await requests.none_left(0)
        requests.leave(one)
        requests.leave(one)
        assert len(requests.open) == 1
        left = asyncio.ensure_future(requests.none_left(10))
        asyncio.get_running_loop().call_soon(requests.leave, two)
        assert await left

    asyncio.run(waited())
