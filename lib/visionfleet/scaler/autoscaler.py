"""One tick of the scaler: elect, observe, decide, act, publish the status."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from visionfleet.contract.messages import FleetStatus
from visionfleet.cost.bill import fleet_cost
from visionfleet.cost.prices import PriceTable
from visionfleet.errors import VisionfleetError
from visionfleet.scaler import usage
from visionfleet.scaler.decision import Decision, History, Observation, Policy
from visionfleet.scaler.executor import Executor
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.maximum_alarm import AlarmPublisher
from visionfleet.scaler.metrics import ScalerMetrics
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.sizing import POLICIES
from visionfleet.scaler.status import fleet_status, learned
from visionfleet.scaler.status_store import StatusStore
from visionfleet.scaler.usage import UsageMeter

log = logging.getLogger("scaler")

# No action is taken on an observation older than this.
STALE_SECONDS = 30.0
# A miscount of a few images is ruled out by a second observation after this time.
RECHECK_SECONDS = 0.8


@dataclass(slots=True)
class Autoscaler:
    """A standby decides too, so that its history is complete when it takes over.

    `now` is AWS's time, `clock` is monotonic.
    """

    observer: FleetObserver
    leader_lease: LeaderLease
    status_store: StatusStore
    executor: Executor
    garbage_collector: GarbageCollector
    metrics: ScalerMetrics
    policy: Policy
    now: Callable[[], float]
    clock: Callable[[], float]
    alarm_publisher: AlarmPublisher | None = None
    prices: PriceTable | None = None
    pause: Callable[[float], object] = time.sleep
    history: History = field(default_factory=History)
    meter: UsageMeter = field(default_factory=UsageMeter)
    acting: bool | None = None

    def tick(self) -> Decision:
        """Raises TryLater or GiveUp when the queue, the fleet or S3 fails."""
        self.metrics.ticks.inc()
        with self.metrics.failed_ticks.count_exceptions():
            decision = self._tick()
        self.metrics.succeeded_at.set(self.now())
        return decision

    def _tick(self) -> Decision:
        self._elect()
        seen, decision, now = self._decide()
        if decision.recheck:
            self.pause(RECHECK_SECONDS)
            seen, decision, now = self._decide()
        log_decision(decision, logging.INFO if self.acting else logging.DEBUG)
        if self.acting:
            self._act(seen, decision, now)
        return decision

    def _decide(self) -> tuple[Observation, Decision, float]:
        begun, now, wall = time.monotonic(), self.clock(), self.now()
        seen = self.observer.observe(now, wall)
        decide = POLICIES[self.policy.settings.policy]
        decision, self.history = decide(seen, self.policy, self.history, now)
        self.metrics.observed(seen, decision, self.policy, wall, time.monotonic() - begun)
        return seen, decision, now

    def _elect(self) -> None:
        lease = self.leader_lease
        try:
            acting = lease.renew()
        except VisionfleetError:
            self.observer.record_outage()
            raise
        self.metrics.lease_held.set(acting)
        if acting and not self.acting:
            status = self.status_store.restore()
            self.history = learned(self.history, status)
            self.meter.begin(0.0 if status is None else self.now() - status.at)
            log.info("acting", extra={"holder": lease.name, "term": lease.seen.term})
        elif self.acting and not acting:
            log.warning("lease lost, acts no more", extra={"holder": lease.seen.holder})
        elif not acting and self.acting is None:
            self._log_standby()
        self.acting = acting

    def _log_standby(self) -> None:
        seen, fault = self.leader_lease.seen, self.leader_lease.fault()
        fields: dict[str, object] = {"holder": seen.holder, "term": seen.term}
        if fault is None:
            log.info("standby", extra=fields)
        else:
            log.error("standby", extra={**fields, "reason": fault})

    def _act(self, seen: Observation, decision: Decision, observed_at: float) -> None:
        def may_act() -> bool:
            return self.leader_lease.holds() and self.clock() - observed_at <= STALE_SECONDS

        if not (self.executor.carry_out(decision, may_act) and may_act()):
            log.warning("step left out", extra={"reason": "the lease or the look is too old"})
            return
        status = self._status(seen, decision)
        if not self.status_store.keep(status):
            term = self.leader_lease.seen.term
            log.warning("another has written the status", extra={"term": term})
            self.leader_lease.forget()
            self.acting = False
            return
        if self.alarm_publisher is not None:
            self.alarm_publisher.publish_if_due(self.history.at_maximum, self.clock())
        workers = {worker.name for worker in seen.workers}
        self.garbage_collector.step(workers, self.clock(), self.now(), may_act)

    def _status(self, seen: Observation, decision: Decision) -> FleetStatus:
        before, now = self.status_store.status, self.now()
        used = self.meter.read(
            self.observer.members,
            seen.handled,
            self.policy.settings.paid_seconds,
            self.clock(),
            now,
        )
        days = usage.added(before.usage if before else (), used, now)
        cost = None if self.prices is None else fleet_cost(days, self.prices, usage.day_of(now))
        self.metrics.used(used, cost)
        return fleet_status(
            seen,
            decision,
            self.history,
            self.policy,
            self.leader_lease.seen,
            self.executor.fleet.alarms(),
            before,
            now,
        ).model_copy(update={"usage": days, "cost": cost})


def log_decision(decision: Decision, level: int) -> None:
    reason = {"reason": decision.reason}
    fields = {
        "launch": decision.launch,
        "drain": ",".join(decision.drain),
        "terminate": ",".join(decision.terminate),
    }
    if decision.at_maximum and level >= logging.INFO:
        log.warning("at maximum", extra=fields | reason)
    elif decision.dead and level >= logging.INFO:
        log.warning("decision", extra=fields | reason)
    elif decision.changes:
        log.log(level, "decision", extra=fields | reason)
    else:
        log.debug("decision", extra=reason)
