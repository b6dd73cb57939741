"""The web daemon with a probe in its loop, for benchmarks.

Run as `python -m bench.probed_web STALLS ...` it writes a line for each stall of the loop of more
than 20 ms: the moment, the milliseconds, and those that the loop's own thread worked meanwhile,
without what other processes of the machine took.
"""

import asyncio
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from visionfleetd.web import main as web

TICK_SECONDS = 0.005
TOLD_SECONDS = 0.02


async def probe(path: Path) -> None:
    with path.open("a", buffering=1) as file:
        wall, work = time.monotonic(), time.thread_time()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            stalled = time.monotonic() - wall - TICK_SECONDS, time.thread_time() - work
            if max(stalled) > TOLD_SECONDS:
                file.write(f"{time.time():.3f} {1000 * stalled[0]:.1f} {1000 * stalled[1]:.1f}\n")
            wall, work = time.monotonic(), time.thread_time()


def main() -> None:
    path, run = Path(sys.argv.pop(1)), uvloop.run

    async def both(daemon: Coroutine[Any, Any, int]) -> int:
        probing = asyncio.ensure_future(probe(path))
        try:
            return await daemon
        finally:
            probing.cancel()

    setattr(uvloop, "run", lambda daemon: run(both(daemon)))  # noqa: B010
    web.main(sys.argv[1:])


if __name__ == "__main__":
    main()
