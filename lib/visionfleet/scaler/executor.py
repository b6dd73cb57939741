"""Executes decisions step by step, while this scaler may act."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from visionfleet.aws.s3 import Store
from visionfleet.contract.names import drain_key, worker_key
from visionfleet.errors import VisionfleetError
from visionfleet.fleet.base import Fleet
from visionfleet.scaler.decision import Decision
from visionfleet.scaler.metrics import ScalerMetrics

log = logging.getLogger("scaler")


@dataclass(frozen=True, slots=True)
class Executor:
    """Terminates, drains and launches. `now` is AWS's time; `new_id` makes decision ids."""

    fleet: Fleet
    store: Store
    metrics: ScalerMetrics
    now: Callable[[], float]
    new_id: Callable[[float], str]

    def carry_out(self, decision: Decision, may_act: Callable[[], bool]) -> bool:
        """Execute all steps, even if one fails; False once `may_act` returns false before one.
        Raises the first failure, TryLater or GiveUp.
        """
        failures: list[VisionfleetError] = []
        for step in self._steps(decision):
            if not may_act():
                return False
            try:
                step()
            except VisionfleetError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return True

    def _steps(self, decision: Decision) -> Iterator[Callable[[], None]]:
        """Terminations first: they make room below the maximum."""
        if not decision.changes:
            return
        why = {"decision": self.new_id(self.now()), "reason": decision.reason}
        for worker in decision.terminate:
            level = logging.WARNING if worker in decision.dead else logging.INFO
            yield lambda worker=worker, level=level: self._terminate(worker, level, why)  # type: ignore[misc]
        for worker in decision.drain:
            yield lambda worker=worker: self._drain(worker, why)  # type: ignore[misc]
        if decision.launch:
            yield lambda: self._launch(decision.launch, why)

    def _terminate(self, worker: str, level: int, why: dict[str, str]) -> None:
        self.fleet.terminate([worker])
        log.log(level, "terminated", extra={"worker": worker} | why)
        self.metrics.terminations.inc()
        self.store.delete(worker_key(worker))
        self.store.delete(drain_key(worker))

    def _drain(self, worker: str, why: dict[str, str]) -> None:
        self.store.put(drain_key(worker), str(self.now()).encode(), "text/plain")
        log.info("asked to drain", extra={"worker": worker} | why)
        self.metrics.drains.inc()

    def _launch(self, count: int, why: dict[str, str]) -> None:
        started = self.fleet.launch(count, why["decision"])
        self.metrics.launches.inc(len(started))
        level = logging.INFO if started else logging.DEBUG  # the fleet has logged why
        log.log(level, "launched", extra=why | {"workers": ",".join(started)})
