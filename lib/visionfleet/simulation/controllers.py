"""The scaler's policies as controllers of a simulation."""

from dataclasses import dataclass, field, replace

from visionfleet.scaler.decision import Decision, History, Observation, Policy
from visionfleet.scaler.sizing import POLICIES, Decide
from visionfleet.simulation.world import Controller


@dataclass(slots=True)
class PolicyController:
    """`starts_at`: the Unix time of the replay's start, for policies with a schedule."""

    decide: Decide
    policy: Policy
    interval_seconds: int = 4
    history: History = field(default_factory=History)
    starts_at: float = 0.0

    def __call__(self, seen: Observation, now: float) -> Decision:
        seen = replace(seen, wall=self.starts_at + now)
        decision, self.history = self.decide(seen, self.policy, self.history, now)
        return decision


@dataclass(slots=True)
class FixedFleet:
    workers: int
    interval_seconds: int = 5

    def __call__(self, seen: Observation, _now: float) -> Decision:
        return Decision(launch=max(0, self.workers - len(seen.workers)))


def controller(name: str, policy: Policy) -> Controller:
    """Make a controller by name, including `fixed:N`; raises KeyError for an unknown one."""
    kind, _, count = name.partition(":")
    if kind == "fixed" and count.isdecimal() and int(count) > 0:
        return FixedFleet(int(count))
    return PolicyController(POLICIES[name], policy)
