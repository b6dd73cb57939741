"""Decides the size of the fleet. Pure: no network, no clock, no logging.

A policy is a function (observation, policy, history, now) -> (decision, history). Times are
seconds; `now` and the times in an observation are of one clock.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

State = Literal["booting", "idle", "busy", "draining", "drained", "stopping", "failed"]


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
    """What was seen in one look. Counts are approximate; learned times are None when unknown."""

    visible: int
    in_flight: int
    workers: tuple[Worker, ...]
    boot_seconds: float | None = None
    service_seconds: float | None = None


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


@dataclass(frozen=True, slots=True)
class History:
    """What a decision must remember: the needs within the hold window, and what was learned."""

    needs: tuple[tuple[float, int], ...] = ()
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
    """Size the fleet so that the queue's wait stays below the target, and no larger."""
    history = _learn(seen, history)
    need = _need(seen, policy, history)
    return _act(seen, policy, _remember(history, need, policy, now), now, need, policy.hold_seconds)


def per_message(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """One worker per message up to the maximum; without messages all idle ones leave at once."""
    need = seen.visible + (seen.in_flight if _capacity(seen) else 0)
    history = replace(history, needs=((now, need),))
    return _act(seen, policy, history, now, need, hold_seconds=0.0)


POLICIES: dict[str, Decide] = {"ours": decide, "per_message": per_message}


def _act(
    seen: Observation, policy: Policy, history: History, now: float, need: int, hold_seconds: float
) -> tuple[Decision, History]:
    """Turn a need into steps, within what the fleet may be."""
    gone = _to_terminate(seen, policy, now)
    alive = len(seen.workers)  # one that is told to go counts until it is gone
    capacity = sum(w.name not in gone for w in _capacity(seen))
    wanted = max(need, policy.minimum) - capacity
    launch = max(0, min(wanted, policy.maximum - alive))
    full = wanted > 0 and alive + launch >= policy.maximum and wanted > launch
    drain = () if wanted > 0 else _to_drain(seen, policy, history, now, capacity, hold_seconds)
    decision = Decision(
        launch=launch,
        drain=drain,
        terminate=gone,
        reason=_reason(seen, need, capacity, launch, drain, gone, full, policy),
        at_maximum=full and not history.at_maximum,
    )
    return decision, replace(history, at_maximum=full)


def _capacity(seen: Observation) -> list[Worker]:
    """Workers that work or will: a failed one is being revived, and must not be doubled."""
    return [w for w in seen.workers if w.state in {"booting", "idle", "busy", "failed"}]


def _need(seen: Observation, policy: Policy, history: History) -> int:
    """Count the workers that keep the wait below the target.

    40 images at 0.5 s each and a target of 10 s: 40 * 0.5 / 10 = 2 workers.
    """
    capacity = len(_capacity(seen))
    if seen.visible == 0 and capacity == 0:
        return 0  # in flight without a worker: it becomes visible again, or was a phantom
    work = seen.visible + seen.in_flight
    service = history.service_seconds or policy.service_seconds
    need = math.ceil(work * service / policy.target_wait_seconds)
    if work:
        need = max(1, need)
    if capacity and need > capacity and work * service / capacity <= _boot(policy, history):
        return capacity  # the present fleet is done before another worker has booted
    return need


def _boot(policy: Policy, history: History) -> float:
    return policy.boot_seconds if history.boot_seconds is None else history.boot_seconds


def _learn(seen: Observation, history: History) -> History:
    """Keep the last times that workers told, for when there is nobody to tell them."""
    return replace(
        history,
        boot_seconds=history.boot_seconds if seen.boot_seconds is None else seen.boot_seconds,
        service_seconds=(
            history.service_seconds if seen.service_seconds is None else seen.service_seconds
        ),
    )


def _remember(history: History, need: int, policy: Policy, now: float) -> History:
    """Keep the needs of the hold window, and the last one before it, which covers its start."""
    needs = (*history.needs, (now, need))
    start = now - policy.hold_seconds
    first = max((i for i, (at, _) in enumerate(needs) if at <= start), default=0)
    return replace(history, needs=needs[first:])


def _to_drain(
    seen: Observation,
    policy: Policy,
    history: History,
    now: float,
    capacity: int,
    hold_seconds: float,
) -> tuple[str, ...]:
    """Pick the workers that were not needed for the whole hold window, longest idle first."""
    if not history.needs or history.needs[0][0] > now - hold_seconds:
        return ()  # not watched for long enough, as after a restart
    peak = max(need for _, need in history.needs)
    surplus = capacity - max(peak, policy.minimum)
    idle = [w for w in seen.workers if w.state == "idle"]
    paid = [w for w in idle if now - w.launched_at >= policy.paid_seconds]
    longest_first = sorted(paid, key=lambda w: w.since)
    return tuple(w.name for w in longest_first[: max(0, surplus)])


def _to_terminate(seen: Observation, policy: Policy, now: float) -> tuple[str, ...]:
    """Pick the workers that said they are drained, and those that are dead."""
    return tuple(w.name for w in seen.workers if w.state == "drained" or _dead(w, policy, now))


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
    drain: tuple[str, ...],
    gone: tuple[str, ...],
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
        steps.append(f"drain {len(drain)}: needed {need} of {capacity} for the hold window")
    if gone:
        steps.append(f"terminate {len(gone)}: drained or dead")
    return "; ".join(steps) or f"hold at {capacity}: {waits} need {need}"
