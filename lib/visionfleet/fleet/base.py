"""What runs the workers: one module per kind of fleet, all with the same small interface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from visionfleet.config.fields import Market

MemberState = Literal["running", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class Member:
    """`launched_at` is wall time. A `failed` one did not start, and is started again without us, or
    is gone by itself so that it can be launched again; `fault` says what its fleet knows of it.
    A worker that is not bought has no market.
    """

    name: str
    launched_at: float
    state: MemberState = "running"
    market: Market | None = None
    instance_type: str | None = None
    fault: str = ""


class Fleet(Protocol):
    """Every method raises TryLater when it does not answer; `maximum` may be set at any time."""

    maximum: int

    def checks(self) -> Sequence[Callable[[], object]]:
        """Tell the calls that show, at the start, that the fleet can be used: to be made in turn,
        each until it passes once. They raise GiveUp or TryLater.
        """

    def alarms(self) -> tuple[str, ...]:
        """List what a person must mend, a sentence each."""

    def market_reason(self) -> str:
        """Say why not all workers are of the market that is preferred; empty while they are."""

    def members(self) -> list[Member]:
        """List the workers that exist, also those that are starting or stopping."""

    def launch(self, count: int, decision_id: str) -> list[str]:
        """Start up to `count`, return their names; the same `decision_id` starts no others."""

    def terminate(self, names: Sequence[str]) -> None:
        """End workers; one that is gone already is fine."""
