"""The fleet of EC2 instances: never above the maximum, despite crashes and concurrent scalers.

Every launch is first written to a ledger in S3, conditional on the ledger that was read. So of two
scalers only one launches; one left unanswered by a crash is repeated with its client token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.errors import AlreadyExists, GiveUp, TryLater
from visionfleet.fleet import launch_ledger
from visionfleet.fleet.alarms import Alarms
from visionfleet.fleet.base import Member
from visionfleet.fleet.circuit_breaker import CircuitBreaker
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.launch_ledger import Ec2Instance
from visionfleet.fleet.launcher import Launcher
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.offerings import REFUSED_SECONDS
from visionfleet.fleet.terminations import Terminations


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
        self.maximum, self._scaler, self._clock = maximum, scaler, clock
        self._launcher = Launcher(instances, settings, scaler, clock, random)
        self._list_breaker = CircuitBreaker("list instances", random)
        self._alarms = Alarms("EC2 needs a person", "EC2 is well again")
        breaker = CircuitBreaker("terminate", random)
        self._terminations = Terminations(instances, breaker, self._alarms, clock)
        self._snapshot: _Snapshot | None = None
        self._market_reason = ""

    def alarms(self) -> tuple[str, ...]:
        return (*self._alarms.sentences(), *self._launcher.alarms())

    def market_reason(self) -> str:
        return self._market_reason

    def checks(self) -> Sequence[Callable[[], object]]:
        """The last rehearses a launch of each offering. One that works is enough to start; refused
        ones raise alarms, and the rest are rehearsed between launches.
        """
        return self._ledger.read, self._launcher.find_template, self._launcher.require_one

    def members(self) -> list[Member]:
        """List the instances that exist or may exist, and resolve launches without an answer."""
        self._snapshot = None
        snapshot = self._settled(self._observe())
        self._terminations.ask_again({m.name for m in snapshot.members() if m.state == "running"})
        self._review(snapshot)
        self._launcher.rehearse_another()
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
        for attempt, offering in self._launcher.attempts():
            wanted = min(count - len(names), self.maximum - len(snapshot.members()))
            if wanted <= 0:
                break
            launch = self._launcher.planned(decision_id, attempt, wanted, offering)
            ledger = launch_ledger.reserved(snapshot.ledger, launch, snapshot.at)
            snapshot = self._write(snapshot, ledger)
            snapshot, started = self._ask(snapshot, launch)
            if started is None:
                break  # unknown outcome: another offering might launch too many
            names += started
        self._snapshot = snapshot
        return names

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
        found = launch_ledger.found(launch, snapshot.instances)
        if len(found) >= launch.count:
            return self._confirm(snapshot, launch, found)
        if not self._launcher.may_repeat(launch):
            return snapshot
        again = launch_ledger.claimed(launch, self._scaler, self._clock())
        snapshot = self._write(snapshot, launch_ledger.replaced(snapshot.ledger, again))
        return self._ask(snapshot, again)[0]

    def _ask(self, snapshot: _Snapshot, launch: Launch) -> tuple[_Snapshot, tuple[str, ...] | None]:
        """Call EC2 for a launch in the ledger; None if the outcome is unknown."""
        if self._clock() - launch.asked_at > launch_ledger.CALL_SECONDS:
            raise TryLater("this launch was written down too long ago to be asked for")
        try:
            ids = self._launcher.run(launch)
        except TryLater:
            return snapshot, None
        except AlreadyExists as error:
            self._alarms.warn(launch_ledger.token(launch), str(error))
            return self._confirm(snapshot, launch, ()), None
        except GiveUp:
            return self._remove(snapshot, launch), ()
        return self._confirm(snapshot, launch, ids), ids

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
        if reason := self._launcher.offerings.refusal(snapshot.at):
            return reason
        preferred = self._launcher.offerings.first_market
        others = any(member.market != preferred for member in snapshot.members())
        return self._market_reason if others else ""

    def _shown(self, member: Member) -> Member:
        return (
            replace(member, state="stopping") if self._terminations.asked(member.name) else member
        )
