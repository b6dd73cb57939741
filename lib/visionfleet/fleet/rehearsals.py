"""Dry runs of launches: one per offering, remembered, no more at a time than EC2 takes."""

from collections.abc import Callable, Sequence

from visionfleet.errors import GiveUp, TryLater
from visionfleet.fleet.call_budget import AT_ONCE, CallBudget
from visionfleet.fleet.offerings import Offering


class Rehearsals:
    """`rehearse` raises GiveUp where a launch would be refused. `refused` is told of each, when one
    works: before that it may be us, as a role that was just made.
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
        self._refusals: dict[Offering, GiveUp] = {}  # not told yet
        self._works = False

    def require_one(self) -> None:
        """Rehearse some, and more until one works. Raises TryLater while others are to come, and
        GiveUp when none works.
        """
        if not self._left and not self._works:
            self._left, self._refusals = list(self._offered), {}
        try:
            self._some()
        except TryLater:
            if not self._works:
                raise
        if self._works:
            self._tell()
        elif self._left:
            raise TryLater(f"{len(self._left)} offerings are still to be rehearsed, none works yet")
        else:
            raise next(iter(self._refusals.values()))

    def go_on(self) -> None:
        """Rehearse one of those that a start has left; a launch may want the last call."""
        if self._works and self._left and self._budget.left(self._clock()) > 1:
            self._next()
            self._tell()

    def known(self, offering: Offering) -> None:
        """Leave one out that a launch was asked of."""
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

    def _tell(self) -> None:
        for offering, error in self._refusals.items():
            self._refused(offering, error)
        self._refusals = {}
