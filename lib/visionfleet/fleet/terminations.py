"""Terminates instances, and repeats the call while they are still listed as running."""

import logging
from collections.abc import Callable, Collection, Sequence

from visionfleet.errors import TryLater
from visionfleet.fleet.alarms import Alarms
from visionfleet.fleet.circuit_breaker import CircuitBreaker
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.offerings import REFUSED_SECONDS

log = logging.getLogger("scaler")


class Terminations:
    def __init__(
        self,
        instances: Instances,
        breaker: CircuitBreaker,
        alarms: Alarms,
        clock: Callable[[], float],
    ) -> None:
        self._instances, self._breaker = instances, breaker
        self._alarms, self._clock = alarms, clock
        self._next_at: dict[str, float] = {}  # by id: when to repeat the call

    def asked(self, name: str) -> bool:
        return name in self._next_at

    def ask_again(self, up: Collection[str]) -> None:
        self._next_at = {name: at for name, at in self._next_at.items() if name in up}
        try:
            self.ask(list(self._next_at))
        except TryLater as error:  # not the observation's fault; repeated next time
            log.warning("terminate not answered", extra={"reason": str(error)})

    def ask(self, ids: Sequence[str]) -> None:
        now = self._clock()
        due = [name for name in ids if self._next_at.get(name, 0.0) <= now]
        if not due:
            return
        self._breaker.require(now)
        try:
            refused = self._instances.terminate(due)
        except TryLater:
            self._breaker.failed(now)
            raise
        self._breaker.succeeded()
        for name in due:
            self._next_at[name] = now + REFUSED_SECONDS if name in refused else now
        for name, reason in refused.items():
            self._alarms.warn(name, reason)
