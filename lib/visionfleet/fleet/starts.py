"""Starts workers of one machine, past places that refuse. No I/O here."""

from collections.abc import Callable, Iterable

from visionfleet.fleet.alarms import Alarms

_MOST_REFUSALS = 16  # at once: then perhaps all refuse, and each costs a call


class Starts:
    def __init__(self) -> None:
        self._alarms = Alarms("start refused", "start no longer refused")

    def alarms(self) -> tuple[str, ...]:
        """The refusals of the last launch."""
        return self._alarms.sentences()

    def some(self, places: Iterable[str], count: int, refusal: Callable[[str], str]) -> list[str]:
        """Start up to `count` of the places, in order, and return those; `refusal` starts one, or
        says why it cannot, such as a masked unit.
        """
        started: list[str] = []
        refused: dict[str, str] = {}
        for place in places:
            if len(started) >= count or len(refused) == _MOST_REFUSALS:
                break
            if reason := refusal(place):
                refused[place] = reason
            else:
                started.append(place)
        self._alarms.keep(refused.__contains__)
        for place, reason in refused.items():
            self._alarms.warn(place, reason)
        return started
