"""The interface that all kinds of fleets have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from visionfleet.config.fields import Market

MemberState = Literal["running", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class Member:
    """One worker as its fleet knows it; `launched_at` is wall time.

    A `failed` one did not start: the fleet restarts it, or lists it until it can be launched again;
    `fault` is what the fleet knows of it. Workers on own machines have no market.
    """

    name: str
    launched_at: float
    state: MemberState = "running"
    market: Market | None = None
    instance_type: str | None = None
    fault: str = ""


class Fleet(Protocol):
    """Every method raises TryLater on failure; a reload sets `maximum`."""

    maximum: int

    def checks(self) -> Sequence[Callable[[], object]]:
        """The calls that check at start that the fleet can be used: each is repeated until it
        passes once. They raise GiveUp or TryLater.
        """

    def alarms(self) -> tuple[str, ...]:
        """What an operator must repair, one sentence each."""
        return ()

    def market_reason(self) -> str:
        """Why not all workers are on the preferred market; empty if they are."""
        return ""

    def members(self) -> list[Member]:
        """The workers that exist, including those starting or stopping."""

    def launch(self, count: int, decision_id: str) -> list[str]:
        """Start up to `count` workers, return their names; idempotent by `decision_id`."""

    def terminate(self, names: Sequence[str]) -> None:
        """Terminate workers; those already gone are ignored."""
