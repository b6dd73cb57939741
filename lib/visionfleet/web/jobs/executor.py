"""Blocking work for the loop: done on threads, measured, and what goes wrong told in two ways."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from visionfleet.errors import BadImage, BadMessage, TryLater, VisionfleetError
from visionfleet.web.metrics import Meters
from visionfleet.web.problems import Problem, try_later

log = logging.getLogger("web")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Threads:
    """The threads that call AWS."""

    pool: Executor
    meters: Meters

    async def run(self, step: str, work: Callable[..., _T], *arguments: object) -> _T:
        """Do blocking work and measure it; `step` names it in the metrics."""

        def measured() -> _T:
            started, ok = time.monotonic(), True
            try:
                return work(*arguments)
            except VisionfleetError as error:
                ok = isinstance(error, BadImage)
                raise
            finally:
                self.meters.aws(step, ok, time.monotonic() - started)

        return await asyncio.get_running_loop().run_in_executor(self.pool, measured)


def trouble(error: Exception, detail: str, job: str = "") -> Problem:
    """Log why AWS failed, and tell the client no more than that it did."""
    fields = ({"job": job} if job else {}) | {"reason": str(error)}
    if isinstance(error, BadMessage):
        log.error("result unreadable", extra=fields)
        return Problem("internal", detail)
    level = logging.WARNING if isinstance(error, TryLater) else logging.ERROR
    log.log(level, "AWS failed", extra=fields)
    return try_later(detail)
