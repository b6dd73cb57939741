"""The fleet of EC2 instances: never more than the maximum, whatever crashes and whoever else acts.

Every launch is first written into a ledger in S3, over the state that was looked at. So of two
scalers only one launches, and what a crash left unanswered is asked for again with its own token.
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
class _Look:
    """The ledger and EC2's list, in this order: what the ledger forgets must be in the list."""

    ledger: LaunchLedger
    etag: str | None
    instances: tuple[Ec2Instance, ...]
    at: float

    def members(self) -> list[Member]:
        return launch_ledger.members(self.ledger, self.instances, self.at)


class Ec2Fleet:
    """`asker` names this process, `clock` is wall time. Only `maximum` may be set at any time."""

    def __init__(
        self,
        instances: Instances,
        ledger: LedgerStore,
        settings: Ec2Section,
        maximum: int,
        asker: str,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._instances, self._ledger = instances, ledger
        self._settings, self.maximum = settings, maximum
        self._asker, self._clock = asker, clock
        offered = in_order(settings.markets, settings.instance_types, settings.subnets)
        self._offerings = Offerings(offered, random)
        self._budget = CallBudget()
        self._rehearsals = Rehearsals(offered, self._rehearse, self._refused, self._budget, clock)
        self._list_breaker = CircuitBreaker("list instances", random)
        self._launch_breaker = CircuitBreaker("launch", random)
        self._alarms, self._refusals = Alarms(), Alarms()  # a refusal ends when a launch succeeds
        breaker = CircuitBreaker("terminate", random)
        self._terminations = Terminations(instances, breaker, self._alarms, clock)
        self._look: _Look | None = None
        self._market_reason = ""

    def alarms(self) -> tuple[str, ...]:
        refused = self._refusals.as_one(f"{len(self._offerings.offered)} offerings")
        return (*self._alarms.sentences(), *refused)

    def market_reason(self) -> str:
        return self._market_reason

    def checks(self) -> Sequence[Callable[[], object]]:
        """Rehearse launches, last of all: one offering that works is enough to start with. Each
        other that is refused is an alarm, and those that are left are asked between launches."""
        return self._ledger.read, self._find_template, self._rehearsals.require_one

    def _find_template(self) -> None:
        try:
            self._instances.find_template(self._template, self._settings.template_version)
        except NotFound as error:
            raise GiveUp(f"it must exist before the scaler starts: {error}") from error

    def members(self) -> list[Member]:
        """List what exists or may; launches that were left open are settled on the way."""
        self._look = None
        look = self._settled(self._observe())
        self._terminations.ask_again({m.name for m in look.members() if m.state == "running"})
        self._review(look)
        self._rehearse_another()
        self._look = look
        return [self._shown(member) for member in look.members()]

    def launch(self, count: int, decision_id: str) -> list[str]:
        """Launch where there are machines; raises Superseded if another launched since our look."""
        look, self._look = self._look or self._observe(), None
        if launch_ledger.of_decision(look.ledger, decision_id):
            self._look = look = self._settled(look)
            known = launch_ledger.of_decision(look.ledger, decision_id)
            return [name for launch in known for name in launch.instances]
        names: list[str] = []
        for attempt, offering in self._to_ask():
            wanted = min(count - len(names), self.maximum - len(look.members()))
            if wanted <= 0:
                break
            launch = self._launch(decision_id, attempt, wanted, offering)
            look = self._write(look, launch_ledger.reserved(look.ledger, launch, look.at))
            look, started = self._ask(look, launch)
            if started is None:
                break  # it may have started some, so no other offering is asked in its place
            names += started
        self._look = look
        return names

    def _to_ask(self) -> Iterator[tuple[int, Offering]]:
        """Number what is open, and go through as much of it as EC2 takes calls for: however many
        of one market refuse, the last call is for the next market.
        """
        open_, asked = self._offerings.open(self._clock()), set[Market]()
        for attempt, offering in enumerate(open_):
            behind = {one.market for one in open_[attempt:]} - {offering.market}
            kept = len(behind) if offering.market in asked else 0
            now = self._clock()
            if self._budget.left(now) > kept and self._launch_breaker.allows(now):
                asked.add(offering.market)
                yield attempt, offering

    def terminate(self, names: Sequence[str]) -> None:
        """Terminate instances; a launch without an answer has none yet, and is left alone."""
        self._terminations.ask([name for name in names if name.startswith("i-")])

    def _observe(self) -> _Look:
        at = self._clock()
        self._list_breaker.require(at)
        ledger, etag = self._ledger.read()
        try:
            # An instance of the ledger that is gone must be told from one that is not listed yet.
            found = self._instances.describe(terminated=bool(launch_ledger.current(ledger, at)))
        except TryLater:
            self._list_breaker.failed(self._clock())
            raise
        except GiveUp as error:
            self._list_breaker.refused(self._clock(), REFUSED_SECONDS)
            self._alarms.warn("list", str(error))
            raise TryLater(str(error)) from error
        self._list_breaker.succeeded()
        self._alarms.mended("list")
        return _Look(ledger, etag, tuple(found), at)

    def _settled(self, look: _Look) -> _Look:
        for launch in launch_ledger.current(look.ledger, look.at):
            if launch.confirmed_at is None:
                look = self._settle(look, launch)
        return look

    def _settle(self, look: _Look, launch: Launch) -> _Look:
        """Find out what became of a launch: by its tag, or else by asking for it again."""
        now = self._clock()
        found = launch_ledger.found(launch, look.instances)
        if len(found) >= launch.count:
            return self._confirm(look, launch, found)
        held_back = self._offerings.closed(_offering(launch), now) or not self._budget.left(now)
        if held_back or not self._launch_breaker.allows(now):
            return look
        again = launch_ledger.claimed(launch, self._asker, now)
        look = self._write(look, launch_ledger.replaced(look.ledger, again))
        return self._ask(look, again)[0]

    def _ask(self, look: _Look, launch: Launch) -> tuple[_Look, tuple[str, ...] | None]:
        """Ask EC2 for a launch that is written down; None when it is not known what it did."""
        if self._clock() - launch.asked_at > launch_ledger.CALL_SECONDS:
            raise TryLater("this launch was written down too long ago to be asked for")
        offering = _offering(launch)
        self._rehearsals.known(offering)
        self._budget.spend(self._clock())
        try:
            ids = self._instances.run(launch)
        except NoCapacity as error:
            self._short(offering, error)
            return self._strike(look, launch), ()
        except AlreadyExists as error:
            self._alarms.warn(launch_ledger.token(launch), str(error))
            return self._confirm(look, launch, ()), None
        except TryLater as error:
            log.warning("launch not answered", extra={"reason": str(error)})
            self._launch_breaker.failed(self._clock())
            return look, None
        except GiveUp as error:
            self._refused(offering, error)
            return self._strike(look, launch), ()
        self._note_success(launch, len(ids))
        return self._confirm(look, launch, ids), ids

    def _note_success(self, launch: Launch, count: int) -> None:
        offering = _offering(launch)
        self._launch_breaker.succeeded()
        self._refusals.mended(str(offering))
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
        except NoCapacity as error:  # we may launch, and may have to wait
            self._short(offering, error)

    def _rehearse_another(self) -> None:
        if not self._launch_breaker.allows(self._clock()):
            return
        try:
            self._rehearsals.go_on()
        except TryLater as error:
            log.debug("rehearsal not answered", extra={"reason": str(error)})
            self._launch_breaker.failed(self._clock())

    def _confirm(self, look: _Look, launch: Launch, ids: Sequence[str]) -> _Look:
        confirmed = launch_ledger.confirmed(launch, ids, self._clock())
        return self._write(look, launch_ledger.replaced(look.ledger, confirmed))

    def _strike(self, look: _Look, launch: Launch) -> _Look:
        """Strike out a refused launch, unless another may still be asking for it."""
        if self._clock() < launch.open_until:
            return look
        return self._write(look, launch_ledger.without(look.ledger, launch))

    def _write(self, look: _Look, ledger: LaunchLedger) -> _Look:
        return replace(look, ledger=ledger, etag=self._ledger.write(ledger, look.etag))

    def _review(self, look: _Look) -> None:
        """Tell of stopped instances and why on which market, and end alarms about what is gone."""
        self._market_reason = self._why(look)
        stopped = {i.id for i in look.instances if i.state == "stopped"}
        for name in stopped:
            self._alarms.warn(name, "it is stopped: start it or terminate it")
        there = {m.name for m in look.members() if m.state == "running"} | stopped
        there |= set(map(launch_ledger.token, launch_ledger.current(look.ledger, look.at)))
        # An alarm about a list ends when that works again, and not before.
        self._alarms.keep((there | {"list"}).__contains__)

    def _why(self, look: _Look) -> str:
        """Keep the reason for as long as a worker is there for it."""
        if reason := self._offerings.refusal(look.at):
            return reason
        preferred = self._offerings.first_market
        others = any(member.market != preferred for member in look.members())
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
            asker=self._asker,
            asked_at=self._clock(),
        )


def _offering(launch: Launch) -> Offering:
    return Offering(launch.instance_type, launch.subnet, launch_ledger.market(launch))
