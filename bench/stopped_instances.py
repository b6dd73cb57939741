"""A simulated fleet with a warm pool of stopped EC2 instances, which start sooner than new ones."""

from collections import deque
from dataclasses import dataclass, field

from visionfleet.simulation.world import Machine, World


@dataclass
class WarmPoolWorld(World):
    """A terminated instance of the pool is stopped instead, and can be started again."""

    instances: int = 0
    start_seconds: float = 20.0
    stop_seconds: float = 30.0
    ready_at: deque[float] = field(init=False)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ready_at = deque([0.0] * self.instances)

    def next_start_seconds(self, second: int) -> float:
        stands = bool(self.ready_at) and self.ready_at[0] <= second
        return self.start_seconds if stands else self.conditions.boot_seconds

    def start(self, name: str, second: int) -> float:
        seconds = super().start(name, second)
        if self.ready_at and self.ready_at[0] <= second:
            self.ready_at.popleft()
            self.taken.add(name)
        return seconds

    def end(self, machine: Machine, second: int) -> None:
        super().end(machine, second)
        if machine.view.name in self.taken:
            self.taken.remove(machine.view.name)
            self.ready_at.append(second + self.stop_seconds)
