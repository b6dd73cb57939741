"""The scaling decision under any traffic, by random examples."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from testkit.fleet.policies import policy
from visionfleet.scaler.decision import History, Observation, Worker
from visionfleet.scaler.sizing import Decide, decide, per_message

POLICY = policy(19, boot_seconds=30, hold_seconds=60, service_seconds=1)
NOW = 1000.0


@dataclass
class SmallFleet:
    """A small fleet that boots, works and drains as told, with counts that may be wrong."""

    boot_seconds: float = 20.0
    service_seconds: float = 1.0
    queue: int = 0
    now: float = 0.0
    workers: dict[str, Worker] = field(default_factory=dict)
    launched: int = 0
    peak: int = 0
    handled: int = 0

    def seen(self, noise: int) -> Observation:
        busy = sum(w.state == "busy" for w in self.workers.values())
        visible = max(0, self.queue - busy + noise)
        return Observation(
            visible, min(self.queue, busy), tuple(self.workers.values()), handled=self.handled
        )

    def step(self, decision_launch: int, drain: tuple[str, ...], gone: tuple[str, ...]) -> None:
        for name in gone:
            assert self.workers[name].state != "busy", "a busy worker was terminated"
            del self.workers[name]
        for name in drain:
            self.workers[name] = replace(self.workers[name], state="draining")
        for _ in range(decision_launch):
            name = f"w{self.launched}"
            self.launched += 1
            self.workers[name] = Worker(name, "booting", self.now, self.now)
        self.peak = max(self.peak, len(self.workers))
        self._work()

    def _work(self) -> None:
        self.now += 1.0
        for name, worker in self.workers.items():
            state = worker.state
            if state == "booting" and self.now - worker.launched_at >= self.boot_seconds:
                state = "idle"
            elif state == "draining":
                state = "drained"
            if state in {"idle", "busy"}:
                state = "busy" if self.queue > 0 else "idle"
                self.handled += self.queue > 0
                self.queue = max(0, self.queue - 1)
            since = worker.since if state == worker.state else self.now
            self.workers[name] = replace(worker, state=state, since=since, reported_at=self.now)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=40),
    st.lists(st.integers(-3, 3), min_size=1, max_size=20),
    st.sampled_from([decide, per_message]),
    st.integers(1, 19),
)
def test_any_traffic_is_served_within_maximum_and_ends_at_zero(
    arrivals: list[int], noise: list[int], policy: Decide, maximum: int
) -> None:
    """Whatever comes, and however wrong the counts: all is done, and the fleet goes to zero."""
    fleet, history = SmallFleet(), History()
    limits = replace(POLICY, maximum=maximum)
    for second in range(3000):
        fleet.queue += arrivals[second] if second < len(arrivals) else 0
        wrong = noise[second % len(noise)] if second < 500 else 0
        decision, history = policy(fleet.seen(wrong), limits, history, fleet.now)
        fleet.step(decision.launch, decision.drain, decision.terminate)
    assert fleet.peak <= maximum
    assert fleet.queue == 0
    assert fleet.workers == {}
