"""The ledger of launches: what it says of the fleet, and what is written into it. No I/O here.

A launch is written before EC2 is asked, by a write that fails when another was first. From then on
it counts, until EC2's own list is sure to show its instances, or it is sure that there are none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from visionfleet.config.fields import Market
from visionfleet.contract.messages import Launch, LaunchLedger
from visionfleet.fleet.base import Member, MemberState

# A launch is asked for within this time of being written down, or not at all.
CALL_SECONDS = 30.0
# AWS takes a signed request for five minutes: until then a call that hangs may still be heard.
HEARD_SECONDS = CALL_SECONDS + 300.0
# AWS: a new instance may be missing from a list, or be NotFound, for up to five minutes.
SEEN_SECONDS = 300.0
# Who waited for it is gone: it is not asked for again, and what it started has been in the list.
ABANDONED_SECONDS = HEARD_SECONDS + SEEN_SECONDS + 270.0

InstanceState = Literal["pending", "running", "shutting-down", "stopping", "stopped", "terminated"]


@dataclass(frozen=True, slots=True)
class Ec2Instance:
    """One instance as EC2 describes it; `launch` is the token of its launch, from its tags."""

    id: str
    state: InstanceState
    launched_at: float
    launch: str = ""
    market: Market = "on-demand"
    instance_type: str | None = None


def token(launch: Launch) -> str:
    """Name a launch, as the client token and in a tag: EC2 launches once per token."""
    return f"{launch.decision}-{launch.attempt}"


def market(launch: Launch) -> Market:
    return "spot" if launch.spot else "on-demand"


def current(ledger: LaunchLedger, now: float) -> tuple[Launch, ...]:
    return tuple(launch for launch in ledger.launches if _counts(launch, now))


def of_decision(ledger: LaunchLedger, decision: str) -> list[Launch]:
    return [launch for launch in ledger.launches if launch.decision == decision]


def members(ledger: LaunchLedger, instances: Sequence[Ec2Instance], now: float) -> list[Member]:
    """Join EC2's list with the ledger: what may exist is a member."""
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
    """Add a launch; those that count no more go."""
    return _revised(ledger, (*current(ledger, now), launch))


def claimed(launch: Launch, asker: str, now: float) -> Launch:
    """Let `asker` ask for a launch again; whom it follows may be heard for some more time."""
    open_until = launch.open_until
    if launch.asker != asker:
        open_until = max(open_until, launch.asked_at + HEARD_SECONDS)
    update = {"asker": asker, "asked_at": now, "open_until": open_until}
    return launch.model_copy(update=update)


def confirmed(launch: Launch, instances: Sequence[str], now: float) -> Launch:
    """Note what EC2 answered; no instances: it was launched, but which they are is not known."""
    return launch.model_copy(update={"confirmed_at": now, "instances": tuple(instances)})


def replaced(ledger: LaunchLedger, new: Launch) -> LaunchLedger:
    kept = (new if token(launch) == token(new) else launch for launch in ledger.launches)
    return _revised(ledger, tuple(kept))


def without(ledger: LaunchLedger, gone: Launch) -> LaunchLedger:
    kept = (launch for launch in ledger.launches if token(launch) != token(gone))
    return _revised(ledger, tuple(kept))


def _counts(launch: Launch, now: float) -> bool:
    if launch.confirmed_at is not None:
        return now - launch.confirmed_at < SEEN_SECONDS
    return now - launch.asked_at < ABANDONED_SECONDS


def _member(instance: Ec2Instance) -> Member:
    """A stopped instance may be started again by who stopped it, so it counts; it never works."""
    up = instance.state in {"pending", "running"}
    state: MemberState = "running" if up else "stopping"
    return Member(instance.id, instance.launched_at, state, instance.market, instance.instance_type)


def _unseen(launch: Launch, known: set[str], instances: Sequence[Ec2Instance]) -> list[str]:
    """Name what a launch has started, or may have, and EC2 does not list."""
    if launch.instances:
        return [name for name in launch.instances if name not in known]
    missing = launch.count - len(found(launch, instances))
    return [f"{token(launch)}/{number}" for number in range(missing)]


def _revised(ledger: LaunchLedger, launches: tuple[Launch, ...]) -> LaunchLedger:
    return LaunchLedger(revision=ledger.revision + 1, launches=launches)
