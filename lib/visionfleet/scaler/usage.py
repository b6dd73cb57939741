"""Aggregates the fleet's usage by day. No I/O here: times are arguments."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from visionfleet.contract.usage import DayUsage, WorkerTime
from visionfleet.fleet.base import Member

KEPT_DAYS = 35
_PLACES = 3  # decimals of seconds

Kind = tuple[str | None, str | None]  # instance type, market


@dataclass(frozen=True, slots=True)
class Used:
    images: int = 0
    scaler_seconds: float = 0.0
    awake_seconds: float = 0.0
    worker_seconds: Mapping[Kind, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Account:
    age: float
    billed: float


@dataclass(slots=True)
class UsageMeter:
    """Meters usage since the last observation. Times are monotonic, except for `wall`, which gives
    the age of new workers.

    Instances are billed from their launch, for a minimum time.
    """

    _accounts: dict[str, _Account] = field(default_factory=dict)
    _looked_at: float | None = None
    _gap_seconds: float = 0.0
    _handled: float = 0.0

    def begin(self, gap_seconds: float) -> None:
        """Restart; an earlier scaler has metered until `gap_seconds` ago."""
        self._accounts, self._looked_at = {}, None
        self._gap_seconds = max(0.0, gap_seconds)

    def read(
        self,
        members: Iterable[Member],
        handled: float,
        minimum_seconds: float,
        now: float,
        wall: float,
    ) -> Used:
        """Meter up to an observation with these members and `handled` images in total."""
        elapsed = None if self._looked_at is None else now - self._looked_at
        running = [member for member in members if member.state == "running"]
        accounts, seconds = {}, defaultdict[Kind, float](float)
        for member in running:
            account = self._account(member, minimum_seconds, elapsed, wall)
            billed = max(minimum_seconds, account.age)
            accounts[member.name] = _Account(account.age, billed)
            seconds[member.instance_type, member.market] += billed - account.billed
        self._accounts, self._looked_at = accounts, now
        # An extrapolated count may have been too high: never count an image twice.
        before = handled if elapsed is None else self._handled
        self._handled = max(handled, before)
        images = math.floor(self._handled) - math.floor(before)
        acted = elapsed or 0.0
        told = {kind: added for kind, added in seconds.items() if added > 0}
        return Used(images, acted, acted if running else 0.0, told)

    def _account(
        self, member: Member, minimum_seconds: float, elapsed: float | None, wall: float
    ) -> _Account:
        known = self._accounts.get(member.name)
        if known is not None and elapsed is not None:
            return replace(known, age=known.age + elapsed)
        age = max(0.0, wall - member.launched_at)
        if elapsed is not None:  # it started after the last observation
            return _Account(min(age, elapsed), 0.0)
        booked = age - self._gap_seconds
        return _Account(age, max(minimum_seconds, booked) if booked > 0 else 0.0)


def added(days: Sequence[DayUsage], used: Used, now: float) -> tuple[DayUsage, ...]:
    """Add usage to the day of `now` (Unix seconds, UTC); drop days older than KEPT_DAYS."""
    today = day_of(now)
    oldest = (today - timedelta(days=KEPT_DAYS - 1)).isoformat()
    kept = {one.day: one for one in days if one.day >= oldest}
    name = today.isoformat()
    kept[name] = _with(kept.get(name, DayUsage(day=name)), used)
    return tuple(kept[day] for day in sorted(kept))[-KEPT_DAYS:]


def day_of(now: float) -> date:
    return datetime.fromtimestamp(now, UTC).date()


def _with(day: DayUsage, used: Used) -> DayUsage:
    times = {(one.instance_type, one.market): one.seconds for one in day.workers}
    for kind, seconds in used.worker_seconds.items():
        times[kind] = round(times.get(kind, 0.0) + seconds, _PLACES)
    return DayUsage(
        day=day.day,
        images=day.images + used.images,
        scaler_seconds=round(day.scaler_seconds + used.scaler_seconds, _PLACES),
        awake_seconds=round(day.awake_seconds + used.awake_seconds, _PLACES),
        workers=tuple(
            WorkerTime(instance_type=kind[0], market=kind[1], seconds=seconds)
            for kind, seconds in sorted(times.items(), key=str)
        ),
    )
