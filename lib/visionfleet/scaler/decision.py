"""Decides the size of the fleet. Pure: no network, no clock, no logging.

`now` and the times in an observation are seconds of one clock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:  # what simulates imports no schema library
    from visionfleet.config import Config
    from visionfleet.config.scaler import FleetTimes, ScalerSection

State = Literal["booting", "idle", "busy", "stuck", "draining", "drained", "stopping", "failed"]
_N = TypeVar("_N", int, float)
_F = TypeVar("_F", bound=float | None)

_CAPACITY = frozenset({"booting", "idle", "busy", "failed"})
_ROUNDING = 1e-9  # 3.0000000000000004 workers are 3


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker. `reported_at` is None until it has reported; `since` is of its state."""

    name: str
    state: State
    since: float
    launched_at: float
    reported_at: float | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """Counts are approximate, learned times None when unknown; of `handled`, growth counts.

    `wall` is the Unix time of the look, None where that is the time of its clock too.
    """

    visible: int
    in_flight: int
    workers: tuple[Worker, ...]
    boot_seconds: float | None = None
    service_seconds: float | None = None
    handled: float = 0.0
    wall: float | None = None

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
    """`kept` are the sizes worth keeping within the hold window, `arrived` the images that had ever
    come within the pace window, both as (when, how many).
    """

    kept: tuple[tuple[float, int], ...] = ()
    arrived: tuple[tuple[float, float], ...] = ()
    boot_seconds: float | None = None
    service_seconds: float | None = None
    at_maximum: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now. `reason` is a sentence; `at_maximum` is true once per episode."""

    launch: int = 0
    drain: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    reason: str = ""
    at_maximum: bool = False

    @property
    def changes(self) -> bool:
        return bool(self.launch or self.drain or self.terminate)


Decide = Callable[[Observation, Policy, History, float], tuple[Decision, History]]


def decide(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """Size the fleet to keep pace with the arrivals, and to clear what would wait too long."""
    history = _learn(seen, policy, history, now)
    pace = _pace(policy, history)
    hold_seconds = policy.settings.hold_seconds
    kept = _sized(seen, policy, math.ceil(pace - _ROUNDING), now)
    need = _sized(seen, policy, _need(seen, policy, history, pace, now), now)
    kept_since = _within((*history.kept, (now, kept)), now - hold_seconds)
    return _act(seen, policy, replace(history, kept=kept_since), now, need, hold_seconds)


def per_message(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """One worker per message up to the maximum; without messages all idle ones leave at once."""
    need = _sized(seen, policy, seen.images, now)
    return _act(seen, policy, replace(history, kept=((now, need),)), now, need, hold_seconds=0.0)


POLICIES: dict[str, Decide] = {"pace": decide, "per_message": per_message}


def _need(seen: Observation, policy: Policy, history: History, pace: float, now: float) -> int:
    """Count the workers that keep pace and clear in time what a new one would still find."""
    left = _work_after_a_boot(seen, policy, history, pace, now)
    need = math.ceil(pace + left / policy.settings.target_wait_seconds - _ROUNDING)
    return min(need, max(seen.images, math.ceil(pace)))  # more workers than images are of no use


def _work_after_a_boot(
    seen: Observation, policy: Policy, history: History, pace: float, now: float
) -> float:
    """Seconds of work that are left when a worker launched now would be up."""
    boot = known(history.boot_seconds, policy.times.boot_seconds)
    done = sum(
        min(boot, now - w.launched_at) if w.state == "booting" else boot for w in _capacity(seen)
    )
    service = known(history.service_seconds, policy.settings.service_seconds)
    return max(0.0, seen.images * service + pace * boot - done)


def _pace(policy: Policy, history: History) -> float:
    """Workers that the arrivals of the pace window keep busy, without its steepest step: it may be
    a burst that is over, which the backlog shows anyway, or a wrong count.
    """
    points = history.arrived
    steps = [(later - at, after - before) for (at, before), (later, after) in pairwise(points)]
    if len(steps) < 2:
        return 0.0
    steepest = max(steps, key=lambda step: step[1] / step[0])
    seconds = points[-1][0] - points[0][0] - steepest[0]
    images = points[-1][1] - points[0][1] - steepest[1]
    service = known(history.service_seconds, policy.settings.service_seconds)
    return max(0.0, images / seconds * service)


def _sized(seen: Observation, policy: Policy, size: int, now: float) -> int:
    """One for any image, none for those in flight without a worker: they become visible again."""
    if seen.visible == 0 and not _capacity(seen):
        size = 0
    elif seen.images:
        size = max(1, size)
    minimum = policy.minimum_at(now if seen.wall is None else seen.wall)
    return max(size + policy.settings.spare if size else 0, minimum)


def _act(
    seen: Observation, policy: Policy, history: History, now: float, need: int, hold_seconds: float
) -> tuple[Decision, History]:
    gone = [w for w in seen.workers if w.state == "drained" or _dead(w, policy, now)]
    alive = len(seen.workers)  # one that is told to go counts until it is gone
    capacity = len(_capacity(seen)) - sum(w.state in _CAPACITY for w in gone)
    launch = max(0, min(need - capacity, policy.maximum - alive))
    full = need > capacity + launch
    drain = () if need > capacity else _to_drain(seen, policy, history, now, need, hold_seconds)
    ended = tuple(w.name for w in gone)
    decision = Decision(launch, drain, ended, at_maximum=full and not history.at_maximum)
    reason = _reason(decision, seen, need, capacity, policy.maximum if full else None)
    return replace(decision, reason=reason), replace(history, at_maximum=full)


def _capacity(seen: Observation) -> list[Worker]:
    """Workers that work or will: a failed one is being revived, and must not be doubled."""
    return [w for w in seen.workers if w.state in _CAPACITY]


def known(learned: float | None, otherwise: _F) -> float | _F:
    return otherwise if learned is None else learned


def _learn(seen: Observation, policy: Policy, history: History, now: float) -> History:
    """Keep the times that workers told, for when there is nobody to tell them, and the arrivals."""
    earlier = tuple(point for point in history.arrived if point[0] < now)
    arrived = (*earlier, (now, seen.images + seen.handled))
    return replace(
        history,
        arrived=_within(arrived, now - policy.times.pace_seconds),
        boot_seconds=known(seen.boot_seconds, history.boot_seconds),
        service_seconds=known(seen.service_seconds, history.service_seconds),
    )


def _within(samples: tuple[tuple[float, _N], ...], start: float) -> tuple[tuple[float, _N], ...]:
    """Keep the samples since `start`, and the last one before it, which covers its beginning."""
    first = 0
    while first + 1 < len(samples) and samples[first + 1][0] <= start:
        first += 1
    return samples[first:]


def _to_drain(
    seen: Observation, policy: Policy, history: History, now: float, need: int, hold_seconds: float
) -> tuple[str, ...]:
    """Pick the workers that were not needed for the whole hold window, longest idle first."""
    if not history.kept or history.kept[0][0] > now - hold_seconds:
        return ()  # not watched for long enough, as after a restart
    keep = max(need, max(size for _, size in history.kept))
    surplus = max(0, len(_capacity(seen)) - keep)
    idle = [w for w in seen.workers if w.state == "idle"]
    paid = [w for w in idle if now - w.launched_at >= policy.settings.paid_seconds]
    longest_first = sorted(paid, key=lambda w: w.since)
    return tuple(w.name for w in longest_first[:surplus])


def _dead(worker: Worker, policy: Policy, now: float) -> bool:
    if worker.state in {"stopping", "failed"}:
        return False  # on its way out already, or on its way back
    if worker.state == "stuck":
        return True
    if worker.reported_at is None or worker.state == "booting":
        return now - worker.launched_at > policy.times.boot_limit_seconds
    return now - worker.reported_at > policy.silent_seconds


def _reason(
    decision: Decision, seen: Observation, need: int, capacity: int, met_maximum: int | None
) -> str:
    waits = f"{seen.visible} waiting and {seen.in_flight} in flight"
    steps = []
    if decision.launch:
        steps.append(f"launch {decision.launch}: {waits} need {need}, there are {capacity}")
    if met_maximum is not None:
        steps.append(f"no more can be opened: {met_maximum} is the maximum")
    if drain := len(decision.drain):
        steps.append(f"drain {drain}: needed {need} of {capacity} for the hold window")
    if decision.terminate:
        steps.append(f"terminate {len(decision.terminate)}: drained or dead")
    return "; ".join(steps) or f"hold at {capacity}: {waits} need {need}"


def wanted(seen: Observation, decision: Decision) -> int:
    """Count the workers that a decision leaves at work or brings there."""
    gone = {*decision.terminate, *decision.drain}
    return decision.launch + sum(w.name not in gone for w in _capacity(seen))
