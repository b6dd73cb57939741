"""Where instances may be launched, and which offerings lack capacity. No I/O here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from visionfleet.backoff import backoff_seconds
from visionfleet.config.fields import Market

# Missing capacity returns within minutes; a quota or wrong setting needs an operator.
SHORT_SECONDS = 180.0
REFUSED_SECONDS = 600.0
_MOST_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Offering:
    """An instance type in a subnet on a market; None leaves it to the launch template."""

    instance_type: str | None = None
    subnet: str | None = None
    market: Market = "on-demand"

    def __str__(self) -> str:
        where = self.subnet or "its subnet"
        return f"{self.market} {self.instance_type or 'the template'} in {where}"


def in_order(
    markets: Sequence[Market], instance_types: Sequence[str], subnets: Sequence[str]
) -> tuple[Offering, ...]:
    """The offerings in order of preference: by market, then type, then subnet."""
    types: Sequence[str | None] = instance_types or (None,)
    places: Sequence[str | None] = subnets or (None,)
    return tuple(Offering(t, place, m) for m in markets for t in types for place in places)


@dataclass(slots=True)
class Offerings:
    """The offerings in order, without those closed for a while. Times are of one clock."""

    offered: tuple[Offering, ...]
    random: Random
    _closed_until: dict[Offering, float] = field(default_factory=dict)
    _refusals: dict[Market, str] = field(default_factory=dict)
    _backoff_until: float = 0.0
    _rounds: int = 0

    @property
    def first_market(self) -> Market:
        return self.offered[0].market

    def open(self, now: float) -> list[Offering]:
        if now < self._backoff_until:
            return []
        return [one for one in self.offered if self._closed_until.get(one, 0.0) <= now]

    def closed(self, offering: Offering, now: float) -> bool:
        """Whether an offering failed lately, also one that is no longer configured."""
        return self._closed_until.get(offering, 0.0) > now

    def close(self, offering: Offering, seconds: float, now: float, reason: str) -> None:
        """Close one for a while; if none is left open, back off from all of them."""
        self._closed_until[offering] = now + seconds
        self._refusals[offering.market] = f"{offering}: {reason}"
        if not self.open(now):
            self._rounds += 1
            wait = backoff_seconds(self._rounds, self.random, SHORT_SECONDS, _MOST_SECONDS)
            self._backoff_until = max(self._backoff_until, now + wait)

    def refusal(self, now: float) -> str:
        """Why an offering of the preferred market is closed; empty while all are open."""
        first = [one for one in self.offered if one.market == self.first_market]
        held = now < self._backoff_until or any(self.closed(one, now) for one in first)
        return self._refusals.get(self.first_market, "") if held else ""

    def succeeded(self) -> None:
        self._rounds = 0
