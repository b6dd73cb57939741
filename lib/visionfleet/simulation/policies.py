"""The policies by their names on the command line, each as a controller for the world."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from visionfleet.scaler.decision import POLICIES, Decide, Decision, History, Observation, Policy
from visionfleet.simulation import oracle
from visionfleet.simulation.baselines import Buildkite, Fixed, Keda, Knative, TargetTracking
from visionfleet.simulation.world import Conditions, Controller

_STEP_SECONDS = 5


@dataclass(slots=True)
class Daemon:
    """What the scaler daemon does with a policy: decide on each look, and remember."""

    decide: Decide
    policy: Policy
    interval_seconds: int = 4
    history: History = field(default_factory=History)

    def __call__(self, seen: Observation, now: float) -> Decision:
        decision, self.history = self.decide(seen, self.policy, self.history, now)
        return decision


@dataclass(frozen=True, slots=True)
class Setting:
    """What a controller is made from: `target` is each policy's own knob, None its default."""

    policy: Policy
    conditions: Conditions
    arrivals: Sequence[int] = ()
    target: float | None = None


def _ours(setting: Setting) -> Controller:
    return Daemon(POLICIES["pace"], setting.policy)


def _per_message(setting: Setting) -> Controller:
    return Daemon(POLICIES["per_message"], setting.policy)


def _keda(setting: Setting) -> Controller:
    return Keda(setting.target or 5, setting.policy.maximum, _dice(setting))


def _target_tracking(setting: Setting) -> Controller:
    return TargetTracking(setting.target or 5, setting.policy.maximum, _dice(setting))


def _target_tracking_fast(setting: Setting) -> Controller:
    made = TargetTracking(setting.target or 5, setting.policy.maximum, _dice(setting))
    made.interval_seconds = 10
    return made


def _knative(setting: Setting) -> Controller:
    return Knative(setting.target or 0.7, setting.policy.maximum, _dice(setting))


def _buildkite(setting: Setting) -> Controller:
    return Buildkite(setting.target or 1, setting.policy.maximum)


def _oracle(setting: Setting) -> Controller:
    """The clairvoyant, whose target is the longest wait in seconds."""
    boot, maximum = setting.conditions.boot_seconds, setting.policy.maximum
    wait = round(setting.target or setting.policy.target_wait_seconds)
    rates = oracle.rates(setting.arrivals, wait, _STEP_SECONDS)
    service = setting.conditions.service_seconds
    plan = oracle.sizes(rates, service, _STEP_SECONDS, boot, maximum)
    return oracle.Oracle(plan, _STEP_SECONDS, boot)


def _dice(setting: Setting) -> Random:
    return Random(setting.conditions.seed + 1)


CONTROLLERS: dict[str, Callable[[Setting], Controller]] = {
    "pace": _ours,
    "per_message": _per_message,
    "keda": _keda,
    "target_tracking": _target_tracking,
    "target_tracking_fast": _target_tracking_fast,
    "knative": _knative,
    "buildkite": _buildkite,
    "oracle": _oracle,
}


def controller(name: str, setting: Setting) -> Controller:
    """Make a controller by its name, also `fixed:N`; raises KeyError for an unknown one."""
    kind, _, count = name.partition(":")
    if kind == "fixed" and count.isdecimal():
        return Fixed(int(count))
    return CONTROLLERS[name](setting)
