"""Decides the size of the fleet. Pure: no network, no clock, no logging."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from visionfleet.scaler import deaths, reasons
from visionfleet.scaler.cooldown import Cooldown
from visionfleet.scaler.decision import Decision, History, Observation, Policy, Worker, known
from visionfleet.scaler.stalled_worker import STALLED_SECONDS

# States that count as capacity. All others count against the maximum only.
_CAPACITY = frozenset({"booting", "idle", "busy"})
_AT_WORK = frozenset({"idle", "busy"})
_PHANTOMS = 2  # images that SQS may miscount in an empty queue
_NEGLIGIBLE_LOAD = 0.05  # of a worker: load not worth another worker

Decide = Callable[[Observation, Policy, History, float], tuple[Decision, History]]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The inputs of a decision. `dead` maps names to reasons; `available` workers are capacity."""

    seen: Observation
    policy: Policy
    history: History
    now: float
    dead: Mapping[str, str]
    available: tuple[Worker, ...]

    @property
    def maybe_miscount(self) -> bool:
        """So few messages, seen once in an idle fleet, may be a miscount of SQS."""
        few = 0 < self.seen.visible <= _PHANTOMS
        return few and not self.available and not self.history.waiting

    @property
    def boot_seconds(self) -> float:
        return known(self.history.boot_seconds, self.policy.times.boot_seconds)

    @property
    def service_seconds(self) -> float:
        return known(self.history.service_seconds, self.policy.settings.service_seconds)


def decide(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """Size the fleet to keep up with the arrival rate and to clear the backlog in time."""
    inputs = _inputs(seen, policy, history, now)
    forecast = inputs.history.forecast
    pace = forecast.rate * inputs.service_seconds
    steady = max(math.ceil(pace - _NEGLIGIBLE_LOAD), int(forecast.anything_lately))
    need = _bounded(inputs, _need(inputs, pace))
    hold, boot = policy.settings.hold_seconds, inputs.boot_seconds
    cooldown = inputs.history.cooldown.updated(_bounded(inputs, steady), hold, boot, now)
    return _act(replace(inputs, history=replace(inputs.history, cooldown=cooldown)), need)


def per_message(
    seen: Observation, policy: Policy, history: History, now: float
) -> tuple[Decision, History]:
    """One worker per message up to the maximum; without messages all idle workers drain at once."""
    inputs = _inputs(seen, policy, history, now)
    need = _bounded(inputs, seen.images)
    at_once = Cooldown(since=now, peaks=((now, need),))
    return _act(replace(inputs, history=replace(inputs.history, cooldown=at_once)), need)


POLICIES: dict[str, Decide] = {"pace": decide, "per_message": per_message}


def _inputs(seen: Observation, policy: Policy, history: History, now: float) -> _Inputs:
    history = _learn(seen, policy, history, now)
    dead = deaths.find_dead(seen, policy, history, now)
    stalled_worker = history.stalled_worker.updated(seen.visible, seen.handled, seen.workers, now)
    useless = {*dead, stalled_worker.stalled}
    available = tuple(w for w in seen.workers if w.state in _CAPACITY and w.name not in useless)
    failed = deaths.failed_starts(seen, dead, history, now)
    history = replace(history, failed_starts=failed, stalled_worker=stalled_worker)
    return _Inputs(seen, policy, history, now, dead, available)


def _need(inputs: _Inputs, pace: float) -> int:
    """Workers for the arrival rate plus the backlog that a new worker would still find."""
    left = _work_after_a_boot(inputs, pace)
    need = math.ceil(pace + left / inputs.policy.settings.target_wait_seconds - _NEGLIGIBLE_LOAD)
    # More workers than images are useless.
    return min(need, max(inputs.seen.images, math.ceil(pace)))


def _work_after_a_boot(inputs: _Inputs, pace: float) -> float:
    """The backlog in seconds of work at the time when a worker launched now would be ready."""
    boot, now, workers = inputs.boot_seconds, inputs.now, inputs.available
    done = sum(min(boot, now - w.launched_at) if w.state == "booting" else boot for w in workers)
    return max(0.0, inputs.seen.images * inputs.service_seconds + pace * boot - done)


def _bounded(inputs: _Inputs, size: int) -> int:
    """Apply minimum and spare. At least one worker for any message; none for messages in flight
    without a worker, as those become visible again.
    """
    seen, policy = inputs.seen, inputs.policy
    if (seen.visible == 0 and not inputs.available) or inputs.maybe_miscount:
        size = 0
    elif seen.images:
        size = max(1, size)
    minimum = policy.minimum_at(inputs.now if seen.wall is None else seen.wall)
    return max(size + policy.settings.spare if size else 0, minimum)


def _act(inputs: _Inputs, need: int) -> tuple[Decision, History]:
    seen, failed, maximum = inputs.seen, inputs.history.failed_starts, inputs.policy.maximum
    capacity = len(inputs.available)
    wanted = max(0, min(need - capacity, maximum - len(seen.workers)))
    launch = failed.allowed(wanted, any(w.state == "booting" for w in inputs.available), inputs.now)
    notes, full = [], need > capacity + wanted
    if inputs.maybe_miscount:
        notes.append("another look comes first, this may be a wrong count")
    if full:
        notes.append(f"no more can be opened: {maximum} is the maximum")
    if failed.count and need > capacity + launch:
        notes.append(reasons.failed_starts(failed, held=wanted > launch))
    drain: tuple[str, ...]
    if who := inputs.history.stalled_worker.stalled:
        drain, leave = (who,), f"{who} took nothing for {STALLED_SECONDS:.0f} s though images wait"
    elif capacity > maximum:
        drain, leave = _least_loaded(inputs, capacity - maximum), f"{maximum} is the maximum now"
    else:
        drain = () if need > capacity else _to_drain(inputs, need)
        leave = f"needed {need} of {capacity} for {inputs.history.cooldown.seconds:.0f} s"
    ended = tuple(w.name for w in seen.workers if w.state == "drained" or w.name in inputs.dead)
    at_maximum = full and not inputs.history.at_maximum
    dead = tuple(inputs.dead)
    decision = Decision(launch, drain, ended, "", at_maximum, dead, inputs.maybe_miscount)
    reason = reasons.of(decision, seen, need, capacity, inputs.dead, leave, notes)
    history = replace(inputs.history, at_maximum=full, waiting=seen.visible > 0)
    return replace(decision, reason=reason), history


def _least_loaded(inputs: _Inputs, count: int) -> tuple[str, ...]:
    """Pick workers to drain after the maximum was lowered, the least loaded first."""
    order = ("idle", "booting", "busy")
    first = sorted(inputs.available, key=lambda w: (order.index(w.state), w.since))
    return tuple(w.name for w in first[:count])


def _learn(seen: Observation, policy: Policy, history: History, now: float) -> History:
    """Update the learned times, kept for when no worker reports them, and the forecast."""
    boot = known(seen.boot_seconds, history.boot_seconds)
    window, horizon = policy.times.pace_seconds, known(boot, policy.times.boot_seconds)
    return replace(
        history,
        forecast=history.forecast.updated(seen.images + seen.handled, window, horizon, now),
        boot_seconds=boot,
        service_seconds=known(seen.service_seconds, history.service_seconds),
    )


def _to_drain(inputs: _Inputs, need: int) -> tuple[str, ...]:
    """Pick idle workers not needed for a whole cooldown: on demand first, then the longest idle.
    Workers that are booting do not count for the backlog.
    """
    settings, now = inputs.policy.settings, inputs.now
    if (size_kept := inputs.history.cooldown.size_to_keep(now)) is None:
        return ()  # not observed for long enough, e.g. after a restart
    keep = max(need, size_kept)
    work = inputs.seen.visible * inputs.service_seconds
    clearing = math.ceil(work / settings.target_wait_seconds - _NEGLIGIBLE_LOAD)
    at_work = sum(w.state in _AT_WORK for w in inputs.available)
    surplus = max(0, min(len(inputs.available) - keep, at_work - clearing))
    in_order = sorted(inputs.available, key=lambda w: (w.market != "on-demand", w.since))
    idle = [w for w in in_order if w.state == "idle"]
    paid = [w.name for w in idle if now - w.launched_at >= settings.paid_seconds]
    return tuple(paid[:surplus])


def wanted(seen: Observation, decision: Decision) -> int:
    gone = {*decision.terminate, *decision.drain}
    return decision.launch + sum(w.state in _CAPACITY and w.name not in gone for w in seen.workers)
