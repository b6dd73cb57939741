"""Decides the size of the fleet. Pure: no network, no clock, no logging.

A policy is a function (observation, policy, history, now) -> (decision, history). Times are
seconds; `now` and the times in an observation are of one clock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeVar

State = Literal["booting", "idle", "busy", "draining", "drained", "stopping", "failed"]
_N = TypeVar("_N", int, float)

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
    """What was seen in one look. Counts are approximate; learned times are None when unknown.

    `handled` is how many images the workers have finished since some moment in the past, as they
    report it; only its growth counts.
    """

    visible: int
    in_flight: int
    workers: tuple[Worker, ...]
    boot_seconds: float | None = None
    service_seconds: float | None = None
    handled: float = 0.0

    @property
    def images(self) -> int:
        """All that is still to be answered."""
        return self.visible + self.in_flight


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of the section `scaler`; `boot_seconds` and `service_seconds` are priors."""

    minimum: int
    maximum: int
    hold_seconds: float
    target_wait_seconds: float
    boot_seconds: float
    service_seconds: float
    paid_seconds: float
    boot_limit_seconds: float
    silent_seconds: float
    pace_seconds: float = 30.0
    spare: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What a decision must remember: what was seen and kept for a while, and what was learned.

    `kept` are the sizes worth keeping within the hold window, `arrived` the images that had ever
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
        """Tell whether there is anything to do."""
        return bool(self.launch or self.drain or self.terminate)


Decide = Callable[[Observation, Policy, History, float], tuple[Decision, History]]


def decide(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """Size the fleet to keep pace with the arrivals, and to clear what would wait too long."""
    history = _learn(seen, policy, history, now)
    pace = _pace(policy, history)
    kept = _sized(seen, policy, math.ceil(pace - _ROUNDING))
    need = _sized(seen, policy, _need(seen, policy, history, pace, now))
    kept_since = _within((*history.kept, (now, kept)), now - policy.hold_seconds)
    return _act(seen, policy, replace(history, kept=kept_since), now, need, policy.hold_seconds)


def per_message(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """One worker per message up to the maximum; without messages all idle ones leave at once."""
    need = _sized(seen, policy, seen.images)
    return _act(seen, policy, replace(history, kept=((now, need),)), now, need, hold_seconds=0.0)


POLICIES: dict[str, Decide] = {"pace": decide, "per_message": per_message}


def _need(seen: Observation, policy: Policy, history: History, pace: float, now: float) -> int:
    """Count the workers that keep pace and clear in time what a new one would still find.

    40 images at 0.5 s and no worker are 20 s of work: 2 workers clear them within a target of 10 s.
    With 2 workers that are up and boots of 30 s nothing is left when a third would be up: 0 more.
    """
    left = _work_after_a_boot(seen, policy, history, pace, now)
    need = math.ceil(pace + left / policy.target_wait_seconds - _ROUNDING)
    return min(need, max(seen.images, math.ceil(pace)))  # more workers than images are of no use


def _work_after_a_boot(
    seen: Observation, policy: Policy, history: History, pace: float, now: float
) -> float:
    """Seconds of work that are left when a worker launched now would be up.

    What comes meanwhile is added; what the fleet does meanwhile, the booting ones in time, is not.
    """
    boot = _known(history.boot_seconds, policy.boot_seconds)
    done = sum(
        min(boot, now - w.launched_at) if w.state == "booting" else boot for w in _capacity(seen)
    )
    service = _known(history.service_seconds, policy.service_seconds)
    return max(0.0, seen.images * service + pace * boot - done)


def _pace(policy: Policy, history: History) -> float:
    """Workers that the arrivals of the pace window keep busy, its steepest step left out.

    That step may be a burst that is over, which the backlog shows anyway, or a wrong count: of
    0, 0, 200, 0 images the pace is none, of 50, 60, 50, 40 in 5 s each it is 9.3 a second.
    """
    points = history.arrived
    steps = [(later - at, after - before) for (at, before), (later, after) in pairwise(points)]
    if len(steps) < 2:
        return 0.0
    steepest = max(steps, key=lambda step: step[1] / step[0])
    seconds = points[-1][0] - points[0][0] - steepest[0]
    images = points[-1][1] - points[0][1] - steepest[1]
    service = _known(history.service_seconds, policy.service_seconds)
    return max(0.0, images / seconds * service)


def _sized(seen: Observation, policy: Policy, size: int) -> int:
    """Bring a size within what makes sense: one for any image, none for phantoms, and limits.

    What is in flight without a worker becomes visible again, or never was.
    """
    if seen.visible == 0 and not _capacity(seen):
        size = 0
    elif seen.images:
        size = max(1, size)
    return max(size + policy.spare if size else 0, policy.minimum)


def _act(
    seen: Observation, policy: Policy, history: History, now: float, need: int, hold_seconds: float
) -> tuple[Decision, History]:
    """Turn a need into steps, within what the fleet may be."""
    gone = _to_terminate(seen, policy, now)
    alive = len(seen.workers)  # one that is told to go counts until it is gone
    capacity = len(_capacity(seen)) - sum(w.state in _CAPACITY for w in gone)
    launch = max(0, min(need - capacity, policy.maximum - alive))
    full = need > capacity + launch
    drain = () if need > capacity else _to_drain(seen, policy, history, now, need, hold_seconds)
    decision = Decision(
        launch=launch,
        drain=drain,
        terminate=tuple(w.name for w in gone),
        reason=_reason(seen, need, capacity, launch, len(drain), len(gone), full, policy),
        at_maximum=full and not history.at_maximum,
    )
    return decision, replace(history, at_maximum=full)


def _capacity(seen: Observation) -> list[Worker]:
    """Workers that work or will: a failed one is being revived, and must not be doubled."""
    return [w for w in seen.workers if w.state in _CAPACITY]


def _known(learned: float | None, prior: float) -> float:
    return prior if learned is None else learned


def _learn(seen: Observation, policy: Policy, history: History, now: float) -> History:
    """Keep the times that workers told, for when there is nobody to tell them, and the arrivals."""
    earlier = tuple(point for point in history.arrived if point[0] < now)
    arrived = (*earlier, (now, seen.images + seen.handled))
    return replace(
        history,
        arrived=_within(arrived, now - policy.pace_seconds),
        boot_seconds=history.boot_seconds if seen.boot_seconds is None else seen.boot_seconds,
        service_seconds=(
            history.service_seconds if seen.service_seconds is None else seen.service_seconds
        ),
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
    paid = [w for w in idle if now - w.launched_at >= policy.paid_seconds]
    longest_first = sorted(paid, key=lambda w: w.since)
    return tuple(w.name for w in longest_first[:surplus])


def _to_terminate(seen: Observation, policy: Policy, now: float) -> list[Worker]:
    """Pick the workers that said they are drained, and those that are dead."""
    return [w for w in seen.workers if w.state == "drained" or _dead(w, policy, now)]


def _dead(worker: Worker, policy: Policy, now: float) -> bool:
    if worker.state in {"stopping", "failed"}:
        return False  # on its way out already, or on its way back
    if worker.reported_at is None or worker.state == "booting":
        return now - worker.launched_at > policy.boot_limit_seconds
    return now - worker.reported_at > policy.silent_seconds


def _reason(
    seen: Observation,
    need: int,
    capacity: int,
    launch: int,
    drain: int,
    gone: int,
    full: bool,
    policy: Policy,
) -> str:
    waits = f"{seen.visible} waiting and {seen.in_flight} in flight"
    steps = []
    if launch:
        steps.append(f"launch {launch}: {waits} need {need}, there are {capacity}")
    if full:
        steps.append(f"no more can be opened: {policy.maximum} is the maximum")
    if drain:
        steps.append(f"drain {drain}: needed {need} of {capacity} for the hold window")
    if gone:
        steps.append(f"terminate {gone}: drained or dead")
    return "; ".join(steps) or f"hold at {capacity}: {waits} need {need}"


def wanted(seen: Observation, decision: Decision) -> int:
    """Count the workers that a decision leaves at work or brings there."""
    gone = {*decision.terminate, *decision.drain}
    states = {"booting", "idle", "busy", "failed"}
    kept = sum(w.state in states and w.name not in gone for w in seen.workers)
    return kept + decision.launch
