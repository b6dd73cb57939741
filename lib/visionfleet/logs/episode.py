"""Logs an outage once at its start and once at its end, instead of each failure."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Episode:
    """`failing` and `over` are the two messages; without `over` its end is logged at DEBUG."""

    log: logging.Logger
    failing: str
    over: str = ""
    clock: Callable[[], float] = time.monotonic
    _since: float | None = None

    def failed(self, reason: object, **fields: object) -> None:
        """Log a failure: at WARNING when it starts an episode, at DEBUG within one."""
        level = logging.WARNING if self._since is None else logging.DEBUG
        self.log.log(level, self.failing, extra={"reason": str(reason)} | fields)
        self._since = self.clock() if self._since is None else self._since

    def succeeded(self) -> None:
        if self._since is not None:
            level = logging.INFO if self.over else logging.DEBUG
            self.log.log(
                level, self.over or "works again", extra={"seconds": self.clock() - self._since}
            )
        self._since = None
