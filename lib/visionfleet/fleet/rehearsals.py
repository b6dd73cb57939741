"""Dry runs of launches, once per offering, within EC2's request limit."""

from collections.abc import Callable, Sequence

from visionfleet.errors import GiveUp, TryLater
from visionfleet.fleet.call_budget import AT_ONCE, CallBudget
from visionfleet.fleet.offerings import Offering


class Rehearsals:
    """`rehearse` raises GiveUp if a launch would be refused.

    `refused` is called for these once another works; before that the cause may be ours, e.g. a new
    IAM role.
    """

    def __init__(
        self,
        offered: Sequence[Offering],
        rehearse: Callable[[Offering], None],
        refused: Callable[[Offering, GiveUp], None],
        budget: CallBudget,
        clock: Callable[[], float],
    ) -> None:
        self._offered = tuple(offered)
        self._rehearse, self._refused = rehearse, refused
        self._budget, self._clock = budget, clock
        self._left: list[Offering] = []
        self._refusals: dict[Offering, GiveUp] = {}  # not reported yet
        self._works = False

    def require_one(self) -> None:
        """Rehearse until one works. Raises TryLater while others are left, GiveUp if none works."""
        if not self._left and not self._works:
            self._left, self._refusals = list(self._offered), {}
        try:
            self._some()
        except TryLater:
            if not self._works:
                raise
        if self._works:
            self._report_refusals()
        elif self._left:
            raise TryLater(f"{len(self._left)} offerings are still to be rehearsed, none works yet")
        else:
            raise next(iter(self._refusals.values()))

    def go_on(self) -> None:
        """Rehearse one more; leave a token of the budget for a launch."""
        if self._works and self._left and self._budget.left(self._clock()) > 1:
            self._next()
            self._report_refusals()

    def skip(self, offering: Offering) -> None:
        if offering in self._left:
            self._left.remove(offering)

    def _some(self) -> None:
        asked = 0
        while self._left and self._budget.left(self._clock()):
            if self._works and asked >= AT_ONCE:
                return
            asked += 1
            self._next()

    def _next(self) -> None:
        offering = self._left[0]
        self._budget.spend(self._clock())
        try:
            self._rehearse(offering)
            self._works = True
        except GiveUp as error:
            self._refusals[offering] = error
        self._left.remove(offering)

    def _report_refusals(self) -> None:
        for offering, error in self._refusals.items():
            self._refused(offering, error)
        self._refusals = {}
