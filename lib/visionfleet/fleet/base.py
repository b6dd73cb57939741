"""What runs the workers: one module per kind of fleet, all with the same small interface."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

MemberState = Literal["running", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class Member:
    """One worker as its fleet knows it. `launched_at` is wall time in seconds.

    A `failed` one did not start, and will be started again without us.
    """

    name: str
    launched_at: float
    state: MemberState = "running"


class Fleet(Protocol):
    """Starts and ends workers; every method raises TryLater when the fleet does not answer.

    `maximum` bounds it whoever asks for more, and may be set at any time.
    """

    maximum: int

    def verify(self) -> None:
        """Check once, at the start, that the fleet can be used; raises GiveUp or TryLater."""

    def alarms(self) -> tuple[str, ...]:
        """List what a person must mend, a sentence each."""

    def members(self) -> list[Member]:
        """List the workers that exist, also those that are starting or stopping."""

    def launch(self, count: int, decision_id: str) -> list[str]:
        """Start up to `count` workers and return the names of those that were.

        The same `decision_id` again, after a crash or an answer that was lost, starts no others.
        """

    def terminate(self, names: Sequence[str]) -> None:
        """End workers; one that is gone already is fine."""
