"""Dry runs of launches: one per offering, remembered, no more at a time than EC2 takes."""

from collections.abc import Callable, Sequence

from visionfleet.errors import GiveUp, TryLater
from visionfleet.fleet.call_budget import CallBudget
from visionfleet.fleet.offerings import Offering


class Rehearsals:
    """`rehearse` raises GiveUp where a launch would be refused; `refused` is told of each."""

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
        self._left: list[Offering] | None = None  # None: nobody has asked for them
        self._refusals: list[GiveUp] = []
        self._works = False

    def require_one(self) -> None:
        """Rehearse until one works, and as many as fit. Raises TryLater while others are to come,
        and GiveUp when none works.
        """
        if self._left is None:
            self._left, self._refusals = list(self._offered), []
        while self._left and self._budget.left(self._clock()):
            try:
                self._next(self._left)
            except TryLater:
                if self._works:
                    return
                raise
        if self._works:
            return
        if self._left:
            raise TryLater(f"{len(self._left)} offerings are still to be rehearsed, none works yet")
        self._left = None  # whoever asks again wants all of them to be tried again
        raise self._refusals[0]

    def go_on(self) -> None:
        """Rehearse one of those that a start has left; a launch may want the last call."""
        if self._left and self._budget.left(self._clock()) > 1:
            self._next(self._left)

    def known(self, offering: Offering) -> None:
        """Leave one out that a launch was asked of."""
        if self._left and offering in self._left:
            self._left.remove(offering)

    def _next(self, left: list[Offering]) -> None:
        self._budget.spend(self._clock())
        try:
            self._rehearse(left[0])
            self._works = True
        except GiveUp as error:
            self._refusals.append(error)
            self._refused(left[0], error)
        left.pop(0)
