"""Clients with a key that upload at a steady pace, each in a process of its own.

What an upload took is counted from when it was due: one that waits for the one before it waits.
"""

import http.client
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from testkit.images.pictures import encoded, numbered

CLIENTS = 4
PERIOD_SECONDS = 0.06
# Until all clients begin, so that none is still on its way.
LEAD_SECONDS = 0.1
IMAGE = encoded(numbered(0))


@dataclass(frozen=True)
class Uploads:
    """What the clients saw."""

    milliseconds: Sequence[float]
    work_milliseconds: Sequence[float]
    statuses: Sequence[str]

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    def work_percentile(self, percent: int) -> float:
        """Of what the event loop worked between an upload and its answer, for whomever: without
        what other processes of the machine took.
        """
        return statistics.quantiles(self.work_milliseconds, n=100)[percent - 1]


class KeyedClients:
    """Half of them keep their connection, half make one for each request."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn"))

    def __enter__(self) -> "KeyedClients":
        for _ in self._pool.map(time.sleep, [1.0] * CLIENTS):  # all are there, none has two
            pass
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def upload(self, port: int, key: str, seconds: float, pid: int) -> Uploads:
        """Let all of them upload for so long to the web daemon `pid`."""
        first = time.monotonic() + LEAD_SECONDS
        starts = [first + PERIOD_SECONDS * number / CLIENTS for number in range(CLIENTS)]
        keeps = [number % 2 == 0 for number in range(CLIENTS)]
        every = ([one] * CLIENTS for one in (port, key, seconds, pid))
        parts = self._pool.map(uploads, *every, starts, keeps)
        took, worked, statuses = zip(*(one for part in parts for one in part), strict=True)
        return Uploads(took, worked, statuses)


def uploads(
    port: int, key: str, seconds: float, pid: int, start: float, keeps: bool
) -> list[tuple[float, float, str]]:
    """Be one client: the milliseconds, those of the loop's work, and the status, or the error, of
    each upload.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    seen = []
    for number in range(int(seconds / PERIOD_SECONDS)):
        due = start + number * PERIOD_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        before = worked_ms(pid)
        try:
            status = str(uploaded(connection, key))
        except (OSError, http.client.HTTPException) as error:
            status = repr(error)
            connection.close()
        seen.append((1000 * (time.monotonic() - due), worked_ms(pid) - before, status))
        if not keeps:
            connection.close()
    with suppress(OSError):
        connection.close()
    return seen


def worked_ms(pid: int) -> float:
    """The CPU milliseconds of a process's main thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def uploaded(connection: http.client.HTTPConnection, key: str) -> int:
    headers = {"X-API-Key": key, "Content-Type": "image/png"}
    connection.request("POST", "/v1/classify?wait=25", IMAGE, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status
