"""The launch ledger: which launches may have produced instances. No I/O here.

A launch is written before the call to EC2, by a conditional write. It counts as capacity until
EC2's list is sure to show its instances, or it is sure that there are none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from visionfleet.config.fields import Market
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.fleet.base import Member, MemberState

# A launch must be called within this time of being written.
CALL_SECONDS = 30.0
# AWS accepts a signed request for five minutes: a hanging call may take effect until then.
PENDING_SECONDS = CALL_SECONDS + 300.0
# Eventual consistency: a new instance may be missing from lists for up to five minutes.
LISTED_SECONDS = 300.0
# No scaler repeats the launch any more, and its instances are in the list.
ABANDONED_SECONDS = PENDING_SECONDS + LISTED_SECONDS + 270.0

InstanceState = Literal["pending", "running", "shutting-down", "stopping", "stopped", "terminated"]


@dataclass(frozen=True, slots=True)
class Ec2Instance:
    """One instance as EC2 describes it; `launch` is its launch's token, from the tags."""

    id: str
    state: InstanceState
    launched_at: float
    launch: str = ""
    market: Market = "on-demand"
    instance_type: str | None = None


def token(launch: Launch) -> str:
    """The client token and tag of a launch: EC2 launches once per token."""
    return f"{launch.decision}-{launch.attempt}"


def market(launch: Launch) -> Market:
    return "spot" if launch.spot else "on-demand"


def current(ledger: LaunchLedger, now: float) -> tuple[Launch, ...]:
    return tuple(launch for launch in ledger.launches if _counts(launch, now))


def of_decision(ledger: LaunchLedger, decision: str) -> list[Launch]:
    return [launch for launch in ledger.launches if launch.decision == decision]


def members(ledger: LaunchLedger, instances: Sequence[Ec2Instance], now: float) -> list[Member]:
    """EC2's list plus what the ledger says may exist."""
    listed = [_member(i) for i in instances if i.state != "terminated"]
    known = {instance.id for instance in instances}
    return listed + [
        Member(name, launch.asked_at, market=market(launch), instance_type=launch.instance_type)
        for launch in current(ledger, now)
        for name in _unseen(launch, known, instances)
    ]


def found(launch: Launch, instances: Iterable[Ec2Instance]) -> tuple[str, ...]:
    return tuple(i.id for i in instances if i.launch == token(launch))


def reserved(ledger: LaunchLedger, launch: Launch, now: float) -> LaunchLedger:
    """Add a launch, and drop those that no longer count."""
    return _revised(ledger, (*current(ledger, now), launch))


def claimed(launch: Launch, scaler: str, now: float) -> Launch:
    """Let `scaler` repeat a launch; the call of the previous one may take effect for some time."""
    open_until = launch.open_until
    if launch.asker != scaler:
        open_until = max(open_until, launch.asked_at + PENDING_SECONDS)
    update = {"asker": scaler, "asked_at": now, "open_until": open_until}
    return launch.model_copy(update=update)


def confirmed(launch: Launch, instances: Sequence[str], now: float) -> Launch:
    """Record EC2's answer; no instances: launched, but the ids are unknown."""
    return launch.model_copy(update={"confirmed_at": now, "instances": tuple(instances)})


def replaced(ledger: LaunchLedger, new: Launch) -> LaunchLedger:
    kept = (new if token(launch) == token(new) else launch for launch in ledger.launches)
    return _revised(ledger, tuple(kept))


def without(ledger: LaunchLedger, gone: Launch) -> LaunchLedger:
    kept = (launch for launch in ledger.launches if token(launch) != token(gone))
    return _revised(ledger, tuple(kept))


def _counts(launch: Launch, now: float) -> bool:
    if launch.confirmed_at is not None:
        return now - launch.confirmed_at < LISTED_SECONDS
    return now - launch.asked_at < ABANDONED_SECONDS


def _member(instance: Ec2Instance) -> Member:
    """A stopped instance never works, but counts: it may be started again."""
    up = instance.state in {"pending", "running"}
    state: MemberState = "running" if up else "stopping"
    return Member(instance.id, instance.launched_at, state, instance.market, instance.instance_type)


def _unseen(launch: Launch, known: set[str], instances: Sequence[Ec2Instance]) -> list[str]:
    """The instances that a launch started, or may have, and EC2 does not list."""
    if launch.instances:
        return [name for name in launch.instances if name not in known]
    missing = launch.count - len(found(launch, instances))
    return [f"{token(launch)}/{number}" for number in range(missing)]


def _revised(ledger: LaunchLedger, launches: tuple[Launch, ...]) -> LaunchLedger:
    return LaunchLedger(revision=ledger.revision + 1, launches=launches)
