"""The calls that launch instances, and what their answers mean for the calls to come."""

import logging
from collections.abc import Callable, Iterator
from random import Random

from visionfleet.config.fields import Market
from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import Launch
from visionfleet.errors import AlreadyExists, GiveUp, NoCapacity, NotFound, TryLater
from visionfleet.fleet import launch_ledger
from visionfleet.fleet.alarms import Alarms
from visionfleet.fleet.call_budget import CallBudget
from visionfleet.fleet.circuit_breaker import CircuitBreaker
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.offerings import (
    REFUSED_SECONDS,
    SHORT_SECONDS,
    Offering,
    Offerings,
    in_order,
)
from visionfleet.fleet.rehearsals import Rehearsals

log = logging.getLogger("scaler")


class Launcher:
    """`scaler` names this process, `clock` is wall time."""

    def __init__(
        self,
        instances: Instances,
        settings: Ec2Section,
        scaler: str,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self._instances, self._settings = instances, settings
        self._scaler, self._clock = scaler, clock
        offered = in_order(settings.markets, settings.instance_types, settings.subnets)
        self.offerings = Offerings(offered, random)
        self._budget = CallBudget()
        self._rehearsals = Rehearsals(offered, self._rehearse, self._refused, self._budget, clock)
        self._breaker = CircuitBreaker("launch", random)
        # A refusal ends when a launch succeeds.
        self._refusals = Alarms("EC2 needs a person", "EC2 is well again")
        self._template = settings.launch_template or ""  # the configuration requires it
        self.require_one = self._rehearsals.require_one

    def alarms(self) -> tuple[str, ...]:
        return self._refusals.as_one(f"{len(self.offerings.offered)} offerings")

    def find_template(self) -> None:
        try:
            self._instances.find_template(self._template, self._settings.template_version)
        except NotFound as error:
            raise GiveUp(f"it must exist before the scaler starts: {error}") from error

    def attempts(self) -> Iterator[tuple[int, Offering]]:
        """Open offerings, numbered, within the call budget; each further market gets a call."""
        open_, asked = self.offerings.open(self._clock()), set[Market]()
        for attempt, offering in enumerate(open_):
            behind = {one.market for one in open_[attempt:]} - {offering.market}
            kept = len(behind) if offering.market in asked else 0
            now = self._clock()
            if self._budget.left(now) > kept and self._breaker.allows(now):
                asked.add(offering.market)
                yield attempt, offering

    def may_repeat(self, launch: Launch) -> bool:
        now = self._clock()
        held_back = self.offerings.closed(_offering(launch), now) or not self._budget.left(now)
        return not held_back and self._breaker.allows(now)

    def planned(self, decision: str, attempt: int, count: int, offering: Offering) -> Launch:
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

    def run(self, launch: Launch) -> tuple[str, ...]:
        """Call EC2; raises what the call raises: the outcome is unknown after TryLater."""
        offering = _offering(launch)
        self._rehearsals.skip(offering)
        self._budget.spend(self._clock())
        try:
            ids = self._instances.run(launch)
        except NoCapacity as error:
            self._short(offering, error)
            raise
        except AlreadyExists:
            raise
        except TryLater as error:
            log.warning("launch not answered", extra={"reason": str(error)})
            self._breaker.failed(self._clock())
            raise
        except GiveUp as error:
            self._refused(offering, error)
            raise
        self._note_success(launch, len(ids))
        return ids

    def rehearse_another(self) -> None:
        if not self._breaker.allows(self._clock()):
            return
        try:
            self._rehearsals.go_on()
        except TryLater as error:
            log.debug("rehearsal not answered", extra={"reason": str(error)})
            self._breaker.failed(self._clock())

    def _note_success(self, launch: Launch, count: int) -> None:
        offering = _offering(launch)
        self._breaker.succeeded()
        self._refusals.resolved(str(offering))
        self.offerings.succeeded()
        fields = {"launch": launch_ledger.token(launch), "offering": str(offering), "count": count}
        if count < launch.count:
            log.warning("launched fewer", extra=fields | {"wanted": launch.count})
            reason = f"{count} of {launch.count} were to be had"
            self.offerings.close(offering, SHORT_SECONDS, self._clock(), reason)
        else:
            log.info("launched by EC2", extra=fields)

    def _short(self, offering: Offering, error: NoCapacity) -> None:
        log.warning("no capacity", extra={"offering": str(offering), "reason": str(error)})
        self.offerings.close(offering, SHORT_SECONDS, self._clock(), str(error))

    def _refused(self, offering: Offering, error: GiveUp) -> None:
        self._refusals.warn(str(offering), str(error))
        self.offerings.close(offering, REFUSED_SECONDS, self._clock(), str(error))

    def _rehearse(self, offering: Offering) -> None:
        try:
            self._instances.rehearse(self.planned("verify", 0, 1, offering))
        except NoCapacity as error:  # permitted, only short of capacity
            self._short(offering, error)


def _offering(launch: Launch) -> Offering:
    return Offering(launch.instance_type, launch.subnet, launch_ledger.market(launch))
