"""The fleet of EC2 instances: never more than the maximum, whatever crashes and whoever else acts.

Every launch is first written into a ledger in S3, over the state that was looked at. So of two
scalers only one launches, and what a crash left unanswered is asked for again with its own token.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.errors import AlreadyExists, GiveUp, NoCapacity, NotFound, TryLater
from visionfleet.fleet import launch_ledger
from visionfleet.fleet.base import Member
from visionfleet.fleet.circuit_breaker import CircuitBreaker
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.launch_ledger import Ec2Instance
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.offerings import REFUSED_SECONDS, SHORT_SECONDS, Market, Offering, offerings

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
        self._market = Market(offerings(settings.instance_types, settings.subnets), random)
        self._list_breaker = CircuitBreaker("list instances", random)
        self._launch_breaker = CircuitBreaker("launch", random)
        self._terminate_breaker = CircuitBreaker("terminate", random)
        self._look: _Look | None = None
        self._terminating: dict[str, float] = {}  # ids, and when to ask for it again
        self._alarms: dict[str, str] = {}

    def alarms(self) -> tuple[str, ...]:
        return tuple(f"{what}: {reason}" for what, reason in self._alarms.items())

    def verify(self) -> None:
        """Rehearse a launch from each offering. One that works is enough to start with: the others
        are alarms, and where EC2 has had enough of questions the first launch will tell.
        """
        self._ledger.read()
        refused: dict[Offering, GiveUp] = {}
        for attempt, offering in enumerate(self._market.offered):
            try:
                self._instances.verify(self._launch("verify", attempt, 1, offering))
            except NotFound as error:
                raise GiveUp(f"it must exist before the scaler starts: {error}") from error
            except GiveUp as error:
                refused[offering] = error
            except TryLater:
                if attempt == len(refused):
                    raise
                break
        if len(refused) == len(self._market.offered):
            raise next(iter(refused.values()))
        for offering, reason in refused.items():
            self._warn(str(offering), str(reason))
            self._market.close(offering, REFUSED_SECONDS, self._clock())

    def members(self) -> list[Member]:
        """List what exists or may; launches that were left open are settled on the way."""
        self._look = None
        look = self._settled(self._observe())
        self._terminate_again(look)
        self._review(look)
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
        for attempt, offering in enumerate(self._market.open(self._clock())):
            wanted = min(count - len(names), self.maximum - len(look.members()))
            if wanted <= 0 or not self._launch_breaker.allows(self._clock()):
                break
            launch = self._launch(decision_id, attempt, wanted, offering)
            look = self._write(look, launch_ledger.reserved(look.ledger, launch, look.at))
            look, started = self._ask(look, launch)
            if started is None:
                break  # it may have started some, so no other offering is asked in its place
            names += started
        self._look = look
        return names

    def terminate(self, names: Sequence[str]) -> None:
        """Terminate instances; a launch without an answer has none yet, and is left alone."""
        self._terminate([name for name in names if name.startswith("i-")])

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
            self._warn("list", str(error))
            raise TryLater(str(error)) from error
        self._list_breaker.succeeded()
        self._mended("list")
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
        if self._market.closed(_offering(launch), now) or not self._launch_breaker.allows(now):
            return look
        again = launch_ledger.claimed(launch, self._asker, now)
        look = self._write(look, launch_ledger.replaced(look.ledger, again))
        return self._ask(look, again)[0]

    def _ask(self, look: _Look, launch: Launch) -> tuple[_Look, tuple[str, ...] | None]:
        """Ask EC2 for a launch that is written down; None when it is not known what it did."""
        if self._clock() - launch.asked_at > launch_ledger.CALL_SECONDS:
            raise TryLater("this launch was written down too long ago to be asked for")
        offering = _offering(launch)
        try:
            ids = self._instances.run(launch)
        except NoCapacity as error:
            log.warning("no capacity", extra={"offering": str(offering), "reason": str(error)})
            self._market.close(offering, SHORT_SECONDS, self._clock())
            return self._strike(look, launch), ()
        except AlreadyExists as error:
            self._warn(launch_ledger.token(launch), str(error))
            return self._confirm(look, launch, ()), None
        except TryLater as error:
            log.warning("launch not answered", extra={"reason": str(error)})
            self._launch_breaker.failed(self._clock())
            return look, None
        except GiveUp as error:
            self._warn(str(offering), str(error))
            self._market.close(offering, REFUSED_SECONDS, self._clock())
            return self._strike(look, launch), ()
        self._note_success(launch, len(ids))
        return self._confirm(look, launch, ids), ids

    def _note_success(self, launch: Launch, count: int) -> None:
        offering = _offering(launch)
        self._launch_breaker.succeeded()
        self._mended(str(offering))
        self._market.succeeded()
        fields = {"launch": launch_ledger.token(launch), "offering": str(offering), "count": count}
        if count < launch.count:
            log.warning("launched fewer", extra=fields | {"wanted": launch.count})
            self._market.close(offering, SHORT_SECONDS, self._clock())
        else:
            log.info("launched by EC2", extra=fields)

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

    def _terminate_again(self, look: _Look) -> None:
        """Ask again for what EC2 has accepted and its list does not show."""
        up = {member.name for member in look.members() if member.state == "running"}
        self._terminating = {name: at for name, at in self._terminating.items() if name in up}
        try:
            self._terminate(list(self._terminating))
        except TryLater as error:  # the look itself is good, and the next one asks again
            log.warning("terminate not answered", extra={"reason": str(error)})

    def _review(self, look: _Look) -> None:
        """Tell of stopped instances, and end the alarms about what is there no more."""
        stopped = {i.id for i in look.instances if i.state == "stopped"}
        for name in stopped:
            self._warn(name, "it is stopped: start it or terminate it")
        there = {m.name for m in look.members() if m.state == "running"} | stopped
        there |= set(map(launch_ledger.token, launch_ledger.current(look.ledger, look.at)))
        # An alarm about a list or an offering ends when that works again, and not before.
        lasting = {"list", *map(str, self._market.offered)}
        for what in self._alarms.keys() - there - lasting:
            self._mended(what)

    def _terminate(self, ids: Sequence[str]) -> None:
        now = self._clock()
        due = [name for name in ids if self._terminating.get(name, 0.0) <= now]
        if not due:
            return
        self._terminate_breaker.require(now)
        try:
            refused = self._instances.terminate(due)
        except TryLater:
            self._terminate_breaker.failed(now)
            raise
        self._terminate_breaker.succeeded()
        for name in due:
            self._terminating[name] = now + REFUSED_SECONDS if name in refused else now
        for name, reason in refused.items():
            self._warn(name, reason)

    def _shown(self, member: Member) -> Member:
        return replace(member, state="stopping") if member.name in self._terminating else member

    def _launch(self, decision: str, attempt: int, count: int, offering: Offering) -> Launch:
        return Launch(
            decision=decision,
            attempt=attempt,
            count=count,
            template=self._settings.launch_template or "",  # the configuration requires it
            version=self._settings.template_version,
            spot=self._settings.spot,
            instance_type=offering.instance_type,
            subnet=offering.subnet,
            asker=self._asker,
            asked_at=self._clock(),
        )

    def _warn(self, what: str, reason: str) -> None:
        """Tell a person, once per episode."""
        if what not in self._alarms:
            log.error("EC2 needs a person", extra={"about": what, "reason": reason})
        self._alarms[what] = reason

    def _mended(self, what: str) -> None:
        if self._alarms.pop(what, None) is not None:
            log.info("EC2 is well again", extra={"about": what})


def _offering(launch: Launch) -> Offering:
    return Offering(launch.instance_type, launch.subnet)
