"""Other systems' policies, from their published formulas, on the same counts as ours.

Each is a controller: it keeps a desired size, and ends workers as its system does. Sources: KEDA
8b4f083 (pkg/scalers/aws_sqs_queue_scaler.go) with Kubernetes' HPA; AWS' "Scaling based on Amazon
SQS", which protects busy instances; knative/serving 98e5ef9 (pkg/autoscaler/scaling);
buildkite-agent-scaler 49c4145 (scaler/). `CONDITIONS` has what else their systems give them.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from visionfleet.scaler.decision import Decision, Observation, Worker
from visionfleet.simulation.world import Controller


def resize(desired: int, alive: Sequence[Worker], random: Random) -> Decision:
    """Come to the desired size as Kubernetes does: those that are not ready go first. Of the others
    anyone may go, a busy one too, which has a grace period.
    """
    surplus = len(alive) - desired
    if surplus <= 0:
        return Decision(launch=-surplus)
    order = sorted(random.sample(list(alive), len(alive)), key=lambda w: w.state != "booting")
    return Decision(terminate=tuple(w.name for w in order[:surplus]))


def protected(desired: int, alive: Sequence[Worker], random: Random) -> Decision:
    """Come to the desired size as an Auto Scaling group does whose busy instances are protected."""
    surplus = len(alive) - desired
    if surplus <= 0:
        return Decision(launch=-surplus)
    free = [w.name for w in alive if w.state != "busy"]
    return Decision(terminate=tuple(random.sample(free, min(surplus, len(free)))))


@dataclass(slots=True)
class Keda:
    """KEDA's SQS scaler with Kubernetes' HPA: `target` messages per worker (`queueLength`). The
    window is that of the HPA's stabilization, and KEDA's cooldown too.
    """

    target: float
    maximum: int
    random: Random
    window_seconds: float = 300.0
    interval_seconds: int = 15
    poll_seconds: int = 30
    desired: int = 0
    _last_active: float = -math.inf
    _wanted: deque[tuple[float, int]] = field(default_factory=deque)

    def __call__(self, seen: Observation, now: float) -> Decision:
        messages = seen.visible + seen.in_flight
        if now % self.poll_seconds == 0:
            self._poll(messages, now)
        if self.desired > 0:
            self._scale(messages, now)
        return resize(self.desired, seen.workers, self.random)

    def _poll(self, messages: int, now: float) -> None:
        """KEDA's own loop, which owns the step between none and one."""
        if messages > 0:
            self._last_active = now
            self.desired = max(1, self.desired)
        elif now - self._last_active > self.window_seconds:
            self.desired = 0
            self._wanted.clear()

    def _scale(self, messages: int, now: float) -> None:
        """The HPA's loop: tolerance, the highest wish of the window, at most double or +4."""
        size = self.desired
        wanted = math.ceil(messages / self.target)
        if abs(1 - messages / (self.target * size)) <= 0.1:
            wanted = size
        wanted = max(1, min(self.maximum, wanted))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - self.window_seconds:
            self._wanted.popleft()
        if wanted < size:
            wanted = min(size, max(count for _, count in self._wanted))
        self.desired = min(wanted, size + max(size, 4))


@dataclass(slots=True)
class TargetTracking:
    """AWS' target tracking on the backlog per instance, with a step policy from zero.

    The backlog counts what is in flight too, as SageMaker's metric does: with visible messages
    alone, as the older recipe has it, busy fleets look empty. Points come each 60 s, or each 10 s.
    """

    target: float
    maximum: int
    random: Random
    interval_seconds: int = 60
    points_out: int = 3
    points_in: int = 15
    desired: int = 0
    _high: int = 0
    _low: int = 0

    def __call__(self, seen: Observation, _now: float) -> Decision:
        messages = seen.visible + seen.in_flight
        in_service = sum(w.state != "booting" for w in seen.workers)
        if self.desired == 0:
            self.desired = 1 if messages > 0 else 0
        elif in_service:
            self._alarms(messages, in_service, scaling_out=in_service < self.desired)
        return protected(self.desired, seen.workers, self.random)

    def _alarms(self, messages: int, in_service: int, scaling_out: bool) -> None:
        backlog = messages / in_service
        self._high = self._high + 1 if backlog > self.target else 0
        self._low = self._low + 1 if backlog < 0.9 * self.target else 0
        wanted = min(self.maximum, math.ceil(messages / self.target))
        if self._high >= self.points_out:
            self.desired = max(self.desired, wanted)  # what warms up counts already
        elif self._low >= self.points_in and not scaling_out:
            self.desired, self._low = min(self.desired, wanted), 0


@dataclass(slots=True)
class Knative:
    """Knative's KPA: averages over a window and a tenth of it, panic at twice what is ready."""

    target: float
    maximum: int
    random: Random
    window_seconds: float = 60.0
    interval_seconds: int = 2
    grace_seconds: float = 30.0
    desired: int = 0
    _samples: deque[int] = field(default_factory=deque)
    _total: int = 0
    _panic_at: float | None = None
    _panic_size: int = 0
    _zero_since: float | None = None

    def __call__(self, seen: Observation, now: float) -> Decision:
        self._sample(seen.visible + seen.in_flight)
        ready = max(1, sum(w.state != "booting" for w in seen.workers))
        low, high = ready // 2, 1000 * ready
        recent = list(self._samples)[-int(self.window_seconds / 10) // self.interval_seconds :]
        stable = math.ceil(self._total / len(self._samples) / self.target)
        panic = math.ceil(sum(recent) / len(recent) / self.target)
        stable, panic = (min(max(size, low), high) for size in (stable, panic))
        wanted = self._in_panic(stable, panic, ready, now)
        self.desired = min(self.maximum, self._above_zero(wanted, now))
        return resize(self.desired, seen.workers, self.random)

    def _sample(self, messages: int) -> None:
        self._samples.append(messages)
        self._total += messages
        if len(self._samples) > self.window_seconds // self.interval_seconds:
            self._total -= self._samples.popleft()

    def _in_panic(self, stable: int, panic: int, ready: int, now: float) -> int:
        if panic / ready >= 2.0:
            self._panic_at = now
        elif self._panic_at is not None and now - self._panic_at > self.window_seconds:
            self._panic_at, self._panic_size = None, 0
        if self._panic_at is None:
            return stable
        self._panic_size = max(self._panic_size, stable, panic)
        return self._panic_size

    def _above_zero(self, wanted: int, now: float) -> int:
        """Zero is left at the first message, and reached after the grace period."""
        if wanted or self._total:
            self._zero_since = None
            return max(1, wanted)
        self._zero_since = now if self._zero_since is None else self._zero_since
        return 0 if now - self._zero_since >= self.grace_seconds else min(1, self.desired)


@dataclass(slots=True)
class Buildkite:
    """buildkite-agent-scaler: exact size every 10 s; a worker that idles for long ends itself."""

    target: float
    maximum: int
    random: Random
    idle_seconds: float = 600.0
    interval_seconds: int = 10
    desired: int = 0

    def __call__(self, seen: Observation, now: float) -> Decision:
        gone = tuple(
            w.name for w in seen.workers if w.state == "idle" and now - w.since >= self.idle_seconds
        )
        self.desired = max(0, self.desired - len(gone))
        need = seen.visible + seen.in_flight
        wanted = math.ceil(need / self.target)
        online = sum(w.state != "booting" for w in seen.workers)
        converged = len(seen.workers) == self.desired
        if need and self.desired and online / self.desired < 0.5 and converged:
            wanted = max(wanted, self.desired + 1)
        self.desired = max(self.desired, min(self.maximum, wanted))
        return Decision(launch=max(0, self.desired - len(seen.workers) + len(gone)), terminate=gone)


def _target_tracking(target: float, maximum: int, random: Random, seconds: float) -> TargetTracking:
    return TargetTracking(target, maximum, random, interval_seconds=int(seconds))


# By their names in tables: each is made from its own target, the maximum of workers, dice, and
# the window, interval or idle time that it has beside the target.
RIVALS: dict[str, Callable[[float, int, Random, float], Controller]] = {
    "keda": Keda,
    "target_tracking": _target_tracking,
    "knative": Knative,
    "buildkite": Buildkite,
}
# Kubernetes lets a worker finish for 30 s; Buildkite gives work to who finished last.
CONDITIONS: dict[str, dict[str, Any]] = {
    "keda": {"grace_seconds": 30.0},
    "knative": {"grace_seconds": 30.0},
    "buildkite": {"packed": True},
}
