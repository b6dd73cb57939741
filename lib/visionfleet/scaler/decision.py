"""Decides the size of the fleet. Pure: no network, no clock, no logging.

`now` and the times in an observation are seconds of one clock.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from visionfleet.scaler import deaths, reasons
from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.deafness import DEAF_SECONDS, Deafness
from visionfleet.scaler.failed_starts import FailedStarts
from visionfleet.scaler.forecast import Forecast

if TYPE_CHECKING:  # what simulates imports no schema library
    from visionfleet.config import Config
    from visionfleet.config.fields import Market
    from visionfleet.config.scaler import FleetTimes, ScalerSection
    from visionfleet.scaler.boots import Boot

State = Literal[
    "booting", "idle", "busy", "stuck", "crashing", "broken",
    "draining", "drained", "stopping", "failed",
]  # fmt: skip
_F = TypeVar("_F", bound=float | None)

# What works or will. All others count for the maximum alone.
_CAPACITY = frozenset({"booting", "idle", "busy"})
_AT_WORK = frozenset({"idle", "busy"})
_PHANTOMS = 2  # images that SQS may count in an empty queue
_TOO_LITTLE = 0.05  # of a worker's time: nobody is wanted for it


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `reported_at` is None until it has reported; `since` is of its state, and `fault`
    says why it does not work. A `failed` one is started again by its fleet, a `crashing` one ends
    again and again at work, and a `broken` one has never come up and will not.
    """

    name: str
    state: State
    since: float
    launched_at: float
    reported_at: float | None = None
    fault: str = ""
    market: "Market | None" = None
    handled: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """Counts are approximate, learned times None when unknown; of `handled`, growth counts.
    `boots` ended since the last look. `wall` is Unix time, None where the clock tells it.
    """

    visible: int
    in_flight: int
    workers: tuple[Worker, ...]
    boot_seconds: float | None = None
    service_seconds: float | None = None
    handled: float = 0.0
    wall: float | None = None
    market_reason: str = ""
    boots: "tuple[Boot, ...]" = ()

    @property
    def images(self) -> int:
        return self.visible + self.in_flight


@dataclass(frozen=True, slots=True)
class Policy:
    """The section `scaler`, and what follows from elsewhere."""

    settings: "ScalerSection"
    times: "FleetTimes"
    maximum: int
    silent_seconds: float

    @classmethod
    def of(cls, config: "Config", cores: int) -> "Policy":
        settings = config.scaler
        maximum = cores if settings.maximum == "cores" else settings.maximum
        return cls(settings, settings.times, maximum, config.classifier.silent_seconds)

    def minimum_at(self, now: float) -> int:
        """The minimum that the schedule asks for at a Unix time, within the maximum."""
        more = [window.minimum for window in self.settings.schedule if window.holds(now)]
        return min(max([self.settings.minimum, *more]), self.maximum)


@dataclass(frozen=True, slots=True)
class History:
    """What earlier looks tell. With `waiting` the last one saw images in the queue."""

    cooldown: Cooldown = field(default_factory=Cooldown)
    forecast: Forecast = field(default_factory=Forecast)
    boot_seconds: float | None = None
    service_seconds: float | None = None
    at_maximum: bool = False
    waiting: bool = False
    failed_starts: FailedStarts = field(default_factory=FailedStarts)
    deafness: Deafness = field(default_factory=Deafness)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `reason` is a sentence; `at_maximum` is true once per episode. Of those to
    terminate, `dead` have not left by themselves. `look_soon` asks whether this is a wrong count.
    """

    launch: int = 0
    drain: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    reason: str = ""
    at_maximum: bool = False
    dead: tuple[str, ...] = ()
    look_soon: bool = False

    @property
    def changes(self) -> bool:
        return bool(self.launch or self.drain or self.terminate)


Decide = Callable[[Observation, Policy, History, float], tuple[Decision, History]]


@dataclass(frozen=True, slots=True)
class _Look:
    """What a decision is made of. `dead` has names and reasons; `able` workers are capacity."""

    seen: Observation
    policy: Policy
    history: History
    now: float
    dead: Mapping[str, str]
    able: tuple[Worker, ...]

    @property
    def doubtful(self) -> bool:
        """Tell of so few images, seen once with nobody there, that they may be a wrong count."""
        few = 0 < self.seen.visible <= _PHANTOMS
        return few and not self.able and not self.history.waiting

    @property
    def boot_seconds(self) -> float:
        return known(self.history.boot_seconds, self.policy.times.boot_seconds)

    @property
    def service_seconds(self) -> float:
        return known(self.history.service_seconds, self.policy.settings.service_seconds)


def decide(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """Size the fleet to keep pace with the arrivals, and to clear what would wait too long."""
    look = _look(seen, policy, history, now)
    forecast = look.history.forecast
    pace = forecast.rate * look.service_seconds
    kept = _sized(look, max(math.ceil(pace - _TOO_LITTLE), int(forecast.anything_lately)))
    need = _sized(look, _need(look, pace))
    hold, boot = policy.settings.hold_seconds, look.boot_seconds
    cooldown = look.history.cooldown.noted(kept, hold, boot, now)
    return _act(replace(look, history=replace(look.history, cooldown=cooldown)), need)


def per_message(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """One worker per message up to the maximum; without messages all idle ones leave at once."""
    look = _look(seen, policy, history, now)
    need = _sized(look, seen.images)
    at_once = Cooldown(since=now, peaks=((now, need),))
    return _act(replace(look, history=replace(look.history, cooldown=at_once)), need)


POLICIES: dict[str, Decide] = {"pace": decide, "per_message": per_message}


def _look(seen: Observation, policy: Policy, history: History, now: float) -> _Look:
    history = _learn(seen, policy, history, now)
    dead = deaths.found(seen, policy, history, now)
    deafness = history.deafness.noted(seen.visible, seen.handled, seen.workers, now)
    useless = {*dead, deafness.deaf}
    able = tuple(w for w in seen.workers if w.state in _CAPACITY and w.name not in useless)
    failed = deaths.failed_starts(seen, dead, history, now)
    history = replace(history, failed_starts=failed, deafness=deafness)
    return _Look(seen, policy, history, now, dead, able)


def _need(look: _Look, pace: float) -> int:
    """Count the workers that keep pace and clear in time what a new one would still find."""
    left = _work_after_a_boot(look, pace)
    need = math.ceil(pace + left / look.policy.settings.target_wait_seconds - _TOO_LITTLE)
    # More workers than images are of no use.
    return min(need, max(look.seen.images, math.ceil(pace)))


def _work_after_a_boot(look: _Look, pace: float) -> float:
    """Seconds of work that are left when a worker launched now would be up."""
    boot, now = look.boot_seconds, look.now
    done = sum(min(boot, now - w.launched_at) if w.state == "booting" else boot for w in look.able)
    return max(0.0, look.seen.images * look.service_seconds + pace * boot - done)


def _sized(look: _Look, size: int) -> int:
    """One for any image, none for those in flight without a worker: they become visible again."""
    seen, policy = look.seen, look.policy
    if (seen.visible == 0 and not look.able) or look.doubtful:
        size = 0
    elif seen.images:
        size = max(1, size)
    minimum = policy.minimum_at(look.now if seen.wall is None else seen.wall)
    return max(size + policy.settings.spare if size else 0, minimum)


def _act(look: _Look, need: int) -> tuple[Decision, History]:
    seen, failed, maximum = look.seen, look.history.failed_starts, look.policy.maximum
    capacity = len(look.able)
    wanted = max(0, min(need - capacity, maximum - len(seen.workers)))  # who is to go still counts
    launch = failed.allowed(wanted, any(w.state == "booting" for w in look.able), look.now)
    notes, full = [], need > capacity + wanted
    if look.doubtful:
        notes.append("another look comes first, this may be a wrong count")
    if full:
        notes.append(f"no more can be opened: {maximum} is the maximum")
    if failed.count and need > capacity + launch:
        notes.append(reasons.failed_starts(failed, held=wanted > launch))
    drain: tuple[str, ...]
    if deaf := look.history.deafness.deaf:
        drain, leave = (deaf,), f"{deaf} took nothing for {DEAF_SECONDS:.0f} s though images wait"
    elif capacity > maximum:
        drain, leave = _lightest(look, capacity - maximum), f"{maximum} is the maximum now"
    else:
        drain = () if need > capacity else _to_drain(look, need)
        leave = f"needed {need} of {capacity} for {look.history.cooldown.seconds:.0f} s"
    ended = tuple(w.name for w in seen.workers if w.state == "drained" or w.name in look.dead)
    at_maximum = full and not look.history.at_maximum
    dead = tuple(look.dead)
    decision = Decision(launch, drain, ended, "", at_maximum, dead, look.doubtful)
    reason = reasons.of(decision, seen, need, capacity, look.dead, leave, notes)
    history = replace(look.history, at_maximum=full, waiting=seen.visible > 0)
    return replace(decision, reason=reason), history


def _lightest(look: _Look, count: int) -> tuple[str, ...]:
    """Pick who must leave since the maximum was lowered: who has the least in flight goes first."""
    order = ("idle", "booting", "busy")
    first = sorted(look.able, key=lambda w: (order.index(w.state), w.since))
    return tuple(w.name for w in first[:count])


def known(learned: float | None, otherwise: _F) -> float | _F:
    return otherwise if learned is None else learned


def _learn(seen: Observation, policy: Policy, history: History, now: float) -> History:
    """Keep the times that workers told, for when there is nobody to tell them, and the arrivals."""
    boot = known(seen.boot_seconds, history.boot_seconds)
    window, horizon = policy.times.pace_seconds, known(boot, policy.times.boot_seconds)
    return replace(
        history,
        forecast=history.forecast.noted(seen.images + seen.handled, window, horizon, now),
        boot_seconds=boot,
        service_seconds=known(seen.service_seconds, history.service_seconds),
    )


def _to_drain(look: _Look, need: int) -> tuple[str, ...]:
    """Pick the workers that were not needed for the whole cooldown, those on demand first, then the
    longest idle, and that what waits does not need: whoever boots has cleared nothing yet.
    """
    settings, now = look.policy.settings, look.now
    if (kept := look.history.cooldown.keeps(now)) is None:
        return ()  # not watched for long enough, as after a restart
    keep = max(need, kept)
    work = look.seen.visible * look.service_seconds
    clearing = math.ceil(work / settings.target_wait_seconds - _TOO_LITTLE)
    at_work = sum(w.state in _AT_WORK for w in look.able)
    surplus = max(0, min(len(look.able) - keep, at_work - clearing))
    dearest_first = sorted(look.able, key=lambda w: (w.market != "on-demand", w.since))
    idle = [w for w in dearest_first if w.state == "idle"]
    paid = [w.name for w in idle if now - w.launched_at >= settings.paid_seconds]
    return tuple(paid[:surplus])


def wanted(seen: Observation, decision: Decision) -> int:
    """Count the workers that a decision leaves at work or brings there."""
    gone = {*decision.terminate, *decision.drain}
    return decision.launch + sum(w.state in _CAPACITY and w.name not in gone for w in seen.workers)
