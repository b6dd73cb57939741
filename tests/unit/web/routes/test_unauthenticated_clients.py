"""What is refused is forgotten at once: what waits for the collector holds the loop up later."""

import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop
from tornado.netutil import bind_sockets

from visionfleet.auth.key_file import KeyFile
from visionfleet.config import Config
from visionfleet.web.http.arrival import Arrival, Drain
from visionfleet.web.http.auth import Access
from visionfleet.web.http.connection_limiter import ConnectionLimiter
from visionfleet.web.http.request_log import RequestLog
from visionfleet.web.http.server import WebServer
from visionfleet.web.load.fleet_load import FleetLoad
from visionfleet.web.load.memory_budget import MemoryBudget
from visionfleet.web.load.readiness import Readiness
from visionfleet.web.metrics import WebMetrics
from visionfleet.web.problems import Problem
from visionfleet.web.routes.application import application
from visionfleet.web.routes.base import Handler
from visionfleet.web.routes.context import Context

HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
WRONG = b"X-API-Key: vf_0000000000_" + b"0" * 64 + b"\r\n"
COUNT = 5
# The log knows one handler and what it raised.
LAST = 2


def context() -> Context:
    readiness = Readiness(60, time.monotonic)
    return Context(
        config=Config(),
        service=None,  # type: ignore[arg-type]
        access=Access(KeyFile(None, time.monotonic, {}), None, time.monotonic),
        budget=MemoryBudget(1 << 20),
        fleet_load=FleetLoad(lambda: None, ThreadPoolExecutor(1), readiness),
        readiness=readiness,
        metrics=WebMetrics(),
        log=RequestLog(time.monotonic),
    )


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /v1/fleet" + HOST + b"\r\n", b"401"),
        (b"GET /v1/jobs/x" + HOST + WRONG + b"\r\n", b"401"),
        (b"POST /v1/jobs" + HOST + b"Content-Length: 9\r\n\r\nabc", b"401"),
        (b"POST /v2/models/m/infer" + HOST + b"Content-Length: 3\r\n\r\nabc", b"401"),
    ],
)
def test_nothing_of_a_refusal_waits_for_the_collector(sent: bytes, status: bytes) -> None:
    async def left() -> list[object]:
        limiter = ConnectionLimiter(lambda _: False, time.monotonic)
        server = WebServer(application(context()), 1000, limiter)
        (listener,) = bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        for _ in range(COUNT):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(sent)
            assert (await reader.read(100)).split()[1] == status
            writer.close()
        server.stop()
        end = time.monotonic() + 60
        while len(found := of_connections(others)) > LAST and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return found

    gc.collect()
    others = of_connections([])
    gc.disable()
    try:
        assert len(uvloop.run(left())) <= LAST
    finally:
        gc.enable()


def of_connections(others: list[object]) -> list[object]:
    """What there is of connections, but for those of other tests."""
    kinds, known = (Arrival, Drain, Handler, Problem), set(map(id, others))
    there = (one for one in gc.get_objects() if issubclass(type(one), kinds))
    return [one for one in there if id(one) not in known]
