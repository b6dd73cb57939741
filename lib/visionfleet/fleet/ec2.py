"""The fleet of EC2 instances: never above the maximum, despite crashes and concurrent scalers.

Every launch is first written to a ledger in S3, conditional on the ledger that was read. So of two
scalers only one launches; one left unanswered by a crash is repeated with its client token.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from visionfleet.config.fields import Market
from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.errors import AlreadyExists, GiveUp, NoCapacity, NotFound, TryLater
from visionfleet.fleet import launch_ledger
from visionfleet.fleet.alarms import Alarms
from visionfleet.fleet.base import Member
from visionfleet.fleet.call_budget import CallBudget
from visionfleet.fleet.circuit_breaker import CircuitBreaker
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.launch_ledger import Ec2Instance
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.offerings import (
    REFUSED_SECONDS,
    SHORT_SECONDS,
    Offering,
    Offerings,
    in_order,
)
from visionfleet.fleet.rehearsals import Rehearsals
from visionfleet.fleet.terminations import Terminations

log = logging.getLogger("scaler")


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A snapshot: the ledger first, then EC2's list, which must contain what the ledger drops."""

    ledger: LaunchLedger
    etag: str | None
    instances: tuple[Ec2Instance, ...]
    at: float

    def members(self) -> list[Member]:
        return launch_ledger.members(self.ledger, self.instances, self.at)


class Ec2Fleet:
    """`scaler` names this process, `clock` is wall time. A reload sets `maximum` only."""

    def __init__(
        self,
        instances: Instances,
        ledger: LedgerStore,
        settings: Ec2Section,
        maximum: int,
        scaler: str,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._instances, self._ledger = instances, ledger
        self._settings, self.maximum = settings, maximum
        self._scaler, self._clock = scaler, clock
        offered = in_order(settings.markets, settings.instance_types, settings.subnets)
        self._offerings = Offerings(offered, random)
        self._budget = CallBudget()
        self._rehearsals = Rehearsals(offered, self._rehearse, self._refused, self._budget, clock)
        self._list_breaker = CircuitBreaker("list instances", random)
        self._launch_breaker = CircuitBreaker("launch", random)
        self._alarms, self._refusals = Alarms(), Alarms()  # a refusal ends when a launch succeeds
        breaker = CircuitBreaker("terminate", random)
        self._terminations = Terminations(instances, breaker, self._alarms, clock)
        self._snapshot: _Snapshot | None = None
        self._market_reason = ""

    def alarms(self) -> tuple[str, ...]:
        refused = self._refusals.as_one(f"{len(self._offerings.offered)} offerings")
        return (*self._alarms.sentences(), *refused)

    def market_reason(self) -> str:
        return self._market_reason

    def checks(self) -> Sequence[Callable[[], object]]:
        """The last rehearses a launch of each offering. One that works is enough to start; refused
        ones raise alarms, and the rest are rehearsed between launches.
        """
        return self._ledger.read, self._find_template, self._rehearsals.require_one

    def _find_template(self) -> None:
        try:
            self._instances.find_template(self._template, self._settings.template_version)
        except NotFound as error:
            raise GiveUp(f"it must exist before the scaler starts: {error}") from error

    def members(self) -> list[Member]:
        """List the instances that exist or may exist, and resolve launches without an answer."""
        self._snapshot = None
        snapshot = self._settled(self._observe())
        self._terminations.ask_again({m.name for m in snapshot.members() if m.state == "running"})
        self._review(snapshot)
        self._rehearse_another()
        self._snapshot = snapshot
        return [self._shown(member) for member in snapshot.members()]

    def launch(self, count: int, decision_id: str) -> list[str]:
        """Launch from the first offerings with capacity; Superseded if another scaler launched."""
        snapshot, self._snapshot = self._snapshot or self._observe(), None
        if launch_ledger.of_decision(snapshot.ledger, decision_id):
            self._snapshot = snapshot = self._settled(snapshot)
            known = launch_ledger.of_decision(snapshot.ledger, decision_id)
            return [name for launch in known for name in launch.instances]
        names: list[str] = []
        for attempt, offering in self._attempts():
            wanted = min(count - len(names), self.maximum - len(snapshot.members()))
            if wanted <= 0:
                break
            launch = self._launch(decision_id, attempt, wanted, offering)
            ledger = launch_ledger.reserved(snapshot.ledger, launch, snapshot.at)
            snapshot = self._write(snapshot, ledger)
            snapshot, started = self._ask(snapshot, launch)
            if started is None:
                break  # unknown outcome: another offering might launch too many
            names += started
        self._snapshot = snapshot
        return names

    def _attempts(self) -> Iterator[tuple[int, Offering]]:
        """Open offerings, numbered, within the call budget; each further market gets a call."""
        open_, asked = self._offerings.open(self._clock()), set[Market]()
        for attempt, offering in enumerate(open_):
            behind = {one.market for one in open_[attempt:]} - {offering.market}
            kept = len(behind) if offering.market in asked else 0
            now = self._clock()
            if self._budget.left(now) > kept and self._launch_breaker.allows(now):
                asked.add(offering.market)
                yield attempt, offering

    def terminate(self, names: Sequence[str]) -> None:
        """Terminate instances; the placeholders of unanswered launches are skipped."""
        self._terminations.ask([name for name in names if name.startswith("i-")])

    def _observe(self) -> _Snapshot:
        at = self._clock()
        self._list_breaker.require(at)
        ledger, etag = self._ledger.read()
        try:
            # Tells terminated instances of the ledger from those not listed yet.
            found = self._instances.describe(terminated=bool(launch_ledger.current(ledger, at)))
        except TryLater:
            self._list_breaker.failed(self._clock())
            raise
        except GiveUp as error:
            self._list_breaker.refused(self._clock(), REFUSED_SECONDS)
            self._alarms.warn("list", str(error))
            raise TryLater(str(error)) from error
        self._list_breaker.succeeded()
        self._alarms.resolved("list")
        return _Snapshot(ledger, etag, tuple(found), at)

    def _settled(self, snapshot: _Snapshot) -> _Snapshot:
        for launch in launch_ledger.current(snapshot.ledger, snapshot.at):
            if launch.confirmed_at is None:
                snapshot = self._settle(snapshot, launch)
        return snapshot

    def _settle(self, snapshot: _Snapshot, launch: Launch) -> _Snapshot:
        """Resolve an unanswered launch: by the tag of its instances, else by repeating the call."""
        now = self._clock()
        found = launch_ledger.found(launch, snapshot.instances)
        if len(found) >= launch.count:
            return self._confirm(snapshot, launch, found)
        held_back = self._offerings.closed(_offering(launch), now) or not self._budget.left(now)
        if held_back or not self._launch_breaker.allows(now):
            return snapshot
        again = launch_ledger.claimed(launch, self._scaler, now)
        snapshot = self._write(snapshot, launch_ledger.replaced(snapshot.ledger, again))
        return self._ask(snapshot, again)[0]

    def _ask(self, snapshot: _Snapshot, launch: Launch) -> tuple[_Snapshot, tuple[str, ...] | None]:
        """Call EC2 for a launch in the ledger; None if the outcome is unknown."""
        if self._clock() - launch.asked_at > launch_ledger.CALL_SECONDS:
            raise TryLater("this launch was written down too long ago to be asked for")
        offering = _offering(launch)
        self._rehearsals.skip(offering)
        self._budget.spend(self._clock())
        try:
            ids = self._instances.run(launch)
        except NoCapacity as error:
            self._short(offering, error)
            return self._remove(snapshot, launch), ()
        except AlreadyExists as error:
            self._alarms.warn(launch_ledger.token(launch), str(error))
            return self._confirm(snapshot, launch, ()), None
        except TryLater as error:
            log.warning("launch not answered", extra={"reason": str(error)})
            self._launch_breaker.failed(self._clock())
            return snapshot, None
        except GiveUp as error:
            self._refused(offering, error)
            return self._remove(snapshot, launch), ()
        self._note_success(launch, len(ids))
        return self._confirm(snapshot, launch, ids), ids

    def _note_success(self, launch: Launch, count: int) -> None:
        offering = _offering(launch)
        self._launch_breaker.succeeded()
        self._refusals.resolved(str(offering))
        self._offerings.succeeded()
        fields = {"launch": launch_ledger.token(launch), "offering": str(offering), "count": count}
        if count < launch.count:
            log.warning("launched fewer", extra=fields | {"wanted": launch.count})
            reason = f"{count} of {launch.count} were to be had"
            self._offerings.close(offering, SHORT_SECONDS, self._clock(), reason)
        else:
            log.info("launched by EC2", extra=fields)

    def _short(self, offering: Offering, error: NoCapacity) -> None:
        log.warning("no capacity", extra={"offering": str(offering), "reason": str(error)})
        self._offerings.close(offering, SHORT_SECONDS, self._clock(), str(error))

    def _refused(self, offering: Offering, error: GiveUp) -> None:
        self._refusals.warn(str(offering), str(error))
        self._offerings.close(offering, REFUSED_SECONDS, self._clock(), str(error))

    def _rehearse(self, offering: Offering) -> None:
        try:
            self._instances.rehearse(self._launch("verify", 0, 1, offering))
        except NoCapacity as error:  # permitted, only short of capacity
            self._short(offering, error)

    def _rehearse_another(self) -> None:
        if not self._launch_breaker.allows(self._clock()):
            return
        try:
            self._rehearsals.go_on()
        except TryLater as error:
            log.debug("rehearsal not answered", extra={"reason": str(error)})
            self._launch_breaker.failed(self._clock())

    def _confirm(self, snapshot: _Snapshot, launch: Launch, ids: Sequence[str]) -> _Snapshot:
        confirmed = launch_ledger.confirmed(launch, ids, self._clock())
        return self._write(snapshot, launch_ledger.replaced(snapshot.ledger, confirmed))

    def _remove(self, snapshot: _Snapshot, launch: Launch) -> _Snapshot:
        """Remove a refused launch, unless another scaler's call may still be pending."""
        if self._clock() < launch.open_until:
            return snapshot
        return self._write(snapshot, launch_ledger.without(snapshot.ledger, launch))

    def _write(self, snapshot: _Snapshot, ledger: LaunchLedger) -> _Snapshot:
        return replace(snapshot, ledger=ledger, etag=self._ledger.write(ledger, snapshot.etag))

    def _review(self, snapshot: _Snapshot) -> None:
        """Update alarms about stopped instances and resolved ones, and the market's reason."""
        self._market_reason = self._current_market_reason(snapshot)
        stopped = {i.id for i in snapshot.instances if i.state == "stopped"}
        for name in stopped:
            self._alarms.warn(name, "it is stopped: start it or terminate it")
        there = {m.name for m in snapshot.members() if m.state == "running"} | stopped
        there |= set(map(launch_ledger.token, launch_ledger.current(snapshot.ledger, snapshot.at)))
        # An alarm about listing ends only when that works again.
        self._alarms.keep((there | {"list"}).__contains__)

    def _current_market_reason(self, snapshot: _Snapshot) -> str:
        """Keep the reason while a worker is on another market."""
        if reason := self._offerings.refusal(snapshot.at):
            return reason
        preferred = self._offerings.first_market
        others = any(member.market != preferred for member in snapshot.members())
        return self._market_reason if others else ""

    def _shown(self, member: Member) -> Member:
        return (
            replace(member, state="stopping") if self._terminations.asked(member.name) else member
        )

    @property
    def _template(self) -> str:
        return self._settings.launch_template or ""  # the configuration requires it

    def _launch(self, decision: str, attempt: int, count: int, offering: Offering) -> Launch:
        return Launch(
            decision=decision,
            attempt=attempt,
            count=count,
            template=self._template,
            version=self._settings.template_version,
            spot=offering.market == "spot",
            instance_type=offering.instance_type,
            subnet=offering.subnet,
            asker=self._scaler,
            asked_at=self._clock(),
        )


def _offering(launch: Launch) -> Offering:
    return Offering(launch.instance_type, launch.subnet, launch_ledger.market(launch))
