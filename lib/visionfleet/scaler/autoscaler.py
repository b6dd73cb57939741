"""One tick of the scaler: a look, a decision, its steps, and a line in the record."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from visionfleet.contract.messages import FleetStatus
from visionfleet.errors import TryLater
from visionfleet.scaler.cloudwatch_alarm import AlarmPublisher
from visionfleet.scaler.decision import POLICIES, Decide, Decision, History, Policy
from visionfleet.scaler.decision import wanted as count_wanted
from visionfleet.scaler.executor import Executor
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.observation import Look, Observer
from visionfleet.scaler.schedule import Window, minimum_at
from visionfleet.scaler.stats import Stats
from visionfleet.scaler.status import Standing
from visionfleet.scaler.status import status as make_status
from visionfleet.scaler.status_store import StatusStore

log = logging.getLogger("scaler")

# A look that took longer says how it was, and not how it is.
STALE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Rule:
    """How the size is decided: a policy by its name, and its numbers."""

    name: str
    policy: Policy
    windows: tuple[Window, ...] = ()

    def at(self, now: float) -> Policy:
        """The numbers that hold at a Unix time: the schedule may ask for more workers."""
        minimum = minimum_at(self.windows, self.policy.minimum, now)
        return replace(self.policy, minimum=min(minimum, self.policy.maximum))

    @property
    def decide(self) -> Decide:
        """Find the function."""
        return POLICIES[self.name]


@dataclass(slots=True)
class Scaler:
    """One scaler, acting or standing by. A scaler that stands by sees and decides all the same,
    so that it knows the past hold window when its turn comes. `now` is wall time in seconds.
    """

    observer: Observer
    tenure: LeaderLease
    record: StatusStore
    hands: Executor
    housekeeper: GarbageCollector
    figures: Stats
    rule: Rule
    now: Callable[[], float]
    history: History = field(default_factory=History)
    acting: bool | None = None
    bulletin: AlarmPublisher | None = None

    def tick(self) -> Decision:
        """Look, decide, act, report; raises TryLater when something does not answer."""
        self._attend()
        begun, now = time.monotonic(), self.now()
        look = self.observer.look(now)
        policy = self.rule.at(now)
        decision, self.history = self.rule.decide(look.seen, policy, self.history, now)
        limits = (policy.minimum, policy.maximum)
        wanted = count_wanted(look.seen, decision)
        self.figures.saw(look.seen, wanted, limits, time.monotonic() - begun)
        log_decision(decision, logging.INFO if self.acting else logging.DEBUG)
        if self.acting:
            self._act(look, decision)
        self.figures.ticked(self.now())
        return decision

    def restore(self) -> None:
        """Take up what the last scaler knew; raises TryLater."""
        status = self.record.restore()
        if status is not None:
            self.history = learned(self.history, status)

    def _attend(self) -> None:
        """Look after the lease, and take over when it has become ours."""
        try:
            acting = self.tenure.attend()
        except TryLater:
            self.observer.lose_sight()
            raise
        self.figures.acting(acting)
        if acting and not self.acting:
            self.restore()
            log.info("acting", extra={"holder": self.tenure.holder, "term": self.tenure.term})
        elif self.acting and not acting:
            log.warning("lease lost, acts no more", extra={"holder": self.tenure.acting})
        elif not acting and self.acting is None:
            log.info("standby", extra={"holder": self.tenure.acting, "term": self.tenure.term})
        self.acting = acting

    def _act(self, look: Look, decision: Decision) -> None:
        def may_act() -> bool:
            return self.tenure.holds() and self.now() - look.at <= STALE_SECONDS

        if not (self.hands.carry_out(decision, may_act) and may_act()):
            log.warning("step left out", extra={"reason": "the lease or the look is too old"})
            return
        standing = Standing(
            holder=self.tenure.holder,
            term=self.tenure.term,
            policy=self.rule.name,
            minimum=self.rule.at(look.at).minimum,
            maximum=self.rule.policy.maximum,
            fleet_alarms=self.hands.fleet.alarms(),
        )
        before = self.record.status
        status = make_status(look.seen, decision, self.history, standing, before, look.at)
        if not self.record.keep(status):
            log.warning("another has written the status", extra={"term": self.tenure.term})
            self.tenure.doubt()
            self.acting = False
            return
        if self.bulletin is not None:
            self.bulletin.tell(self.history.at_maximum, self.now())
        members = {member.name for member in look.members}
        self.housekeeper.step(members, self.now(), may_act)


def learned(history: History, status: FleetStatus) -> History:
    """Take over the times that an earlier scaler learned, where this one has none yet."""
    return replace(
        history,
        boot_seconds=_first(history.boot_seconds, status.boot_seconds),
        service_seconds=_first(history.service_seconds, status.service_seconds),
    )


def _first(ours: float | None, theirs: float | None) -> float | None:
    return theirs if ours is None else ours


def log_decision(decision: Decision, level: int) -> None:
    """Write one line for a change; a maximum that is met is a warning."""
    fields = {
        "launch": decision.launch,
        "drain": ",".join(decision.drain),
        "terminate": ",".join(decision.terminate),
    }
    if decision.at_maximum and level >= logging.INFO:
        log.warning("at maximum", extra={**fields, "reason": decision.reason})
    elif decision.changes:
        log.log(level, "decision", extra={**fields, "reason": decision.reason})
    else:
        log.debug("decision", extra={"reason": decision.reason})
