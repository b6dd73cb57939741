"""Free ports on loopback."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

# Below those that the kernel gives to clients: one of them could have ours before we listen.
FIRST, LAST = 14_000, 32_400
BLOCK = 400
STEP = 4  # a daemon may take one of the next ports as well


def free_port() -> int:
    """Give a TCP port on 127.0.0.1 that nothing listens on.

    Tests of other processes, which have other blocks, are not given it meanwhile.
    """
    return next(filter(_is_free, _ports()))


@cache
def _ports() -> Iterator[int]:
    count = (LAST - FIRST) // BLOCK
    for number in range(os.getpid(), os.getpid() + count):
        claim = socket.socket(socket.AF_UNIX)
        with suppress(OSError):  # another process has it
            claim.bind(f"\0visionfleet-ports-{number % count}")
            return _of_block(claim, FIRST + number % count * BLOCK)
        claim.close()
    raise RuntimeError("too many processes of tests: no block of ports is left")


def _of_block(claim: socket.socket, first: int) -> Iterator[int]:
    with claim:  # for as long as this process lives
        while True:
            yield from range(first, first + BLOCK, STEP)


def _is_free(port: int) -> bool:
    with socket.socket() as probe, suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether something accepts connections on the port."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
