"""A world for scalers of an EC2 fleet: a queue that is counted late, workers, EC2 and S3 in memory.

It checks all the time what must never happen, and drives the real decision and the real fleet.
"""

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, cast

from testkit.aws.fake_ec2 import FakeEc2, FakeInstance, Region
from testkit.aws.fake_s3 import Bucket, FakeS3
from testkit.aws.fakes import Clock
from testkit.fleet.policies import policy
from testkit.processes.stepping import SteppedWork
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import Counts
from visionfleet.config.scaler import Ec2Section
from visionfleet.contract.messages import WorkerReport, WorkerState
from visionfleet.errors import TryLater
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import LAUNCH_TAG, Instances
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.scaler.decision import History
from visionfleet.scaler.incarnations import SeenReport
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.sizing import decide

MAXIMUM = 4
SERVICE_SECONDS = 20.0
EC2 = Ec2Section(
    launch_template="workers",
    template_version="1",
    instance_types=("c7i.large", "c6i.large"),
    subnets=("subnet-0000000a",),
)
SPOT_FIRST = EC2.model_copy(update={"markets": ("spot", "on-demand")})
POLICY = policy(MAXIMUM, boot_seconds=20, hold_seconds=30, service_seconds=SERVICE_SECONDS)


@dataclass
class Worker:
    """A worker on an instance; it reads the request to drain only between two jobs."""

    started_at: float
    since: float
    busy_until: float | None = None
    state: WorkerState = "idle"


@dataclass
class Ec2World:
    """All that is outside of the scalers. Counts are as old as `lag_seconds`."""

    clock: Clock = field(default_factory=Clock)
    bucket: Bucket = field(default_factory=Bucket)
    waiting: int = 0
    done: int = 0
    lag_seconds: float = 0.0
    settings: Ec2Section = EC2
    workers: dict[str, Worker] = field(default_factory=dict)
    drain_requests: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)  # whose reports were deleted
    interrupted: dict[str, float] = field(default_factory=dict)  # when they are taken back
    decided: dict[str, int] = field(default_factory=dict)
    seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.region = Region(self.clock)
        self.seen.append((self.clock.now, 0, 0))

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, in which workers boot and work."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + 5.0)
            for machine in self.region.alive():
                if self.clock.now >= self.interrupted.get(machine.id, math.inf):
                    self._take_back(machine)
                elif machine.state(self.clock.now) == "running":
                    self._work(machine.id)
            self.seen.append((self.clock.now, self.waiting, self._busy()))
            self.check()

    def counts(self) -> Counts:
        """Count what waits and what is in flight, as it was a while ago."""
        old = [entry for entry in self.seen if entry[0] <= self.clock.now - self.lag_seconds]
        _, visible, in_flight = old[-1] if old else self.seen[0]
        return Counts(visible, in_flight)

    def interrupt(self, name: str) -> None:
        """Take a spot instance back, two minutes from now: its worker drains meanwhile."""
        self.interrupted[name] = self.clock.now + 120.0

    def report(self, name: str) -> WorkerReport | None:
        """Tell what a worker says of itself."""
        worker = self.workers.get(name)
        if worker is None or name in self.hidden:
            return None
        return WorkerReport(
            worker=name,
            state=worker.state,
            since=worker.since,
            reported_at=self.clock.now,
            started_at=worker.started_at,
            version="0",
            host="h",
        )

    def check(self) -> None:
        """Check what must hold at any moment."""
        alive = self.region.alive()
        assert len(alive) <= MAXIMUM, f"{len(alive)} instances are more than {MAXIMUM}"
        for name in self.region.ended:
            worker = self.workers.get(name)
            assert worker is None or worker.busy_until is None, f"{name} was ended while busy"
        started = Counter(
            m.tags[LAUNCH_TAG].rpartition("-")[0] for m in self.region.machines.values()
        )
        for decision, count in started.items():
            assert count <= self.decided[decision], f"{decision} was carried out twice"

    def at_rest(self) -> bool:
        """Tell whether all work is done and nobody is left."""
        return not (self.waiting or self._busy() or self.region.alive())

    def _busy(self) -> int:
        return sum(worker.busy_until is not None for worker in self.workers.values())

    def _take_back(self, machine: FakeInstance) -> None:
        """End an instance; what its worker had in hand becomes visible again."""
        if machine.gone_at is None:
            machine.gone_at = self.clock.now
            worker = self.workers.get(machine.id)
            self.waiting += worker is not None and worker.busy_until is not None
            self.workers.pop(machine.id, None)

    def _work(self, name: str) -> None:
        now = self.clock.now
        worker = self.workers.setdefault(name, Worker(now, now))
        if worker.busy_until is not None and now < worker.busy_until:
            return
        self.done += worker.busy_until is not None
        worker.busy_until = None
        if name in self.drain_requests or name in self.interrupted:
            self._turn(worker, "drained")
        elif self.waiting:
            self.waiting -= 1
            worker.busy_until = now + SERVICE_SECONDS
            self._turn(worker, "busy")
        else:
            self._turn(worker, "idle")

    def _turn(self, worker: Worker, state: WorkerState) -> None:
        if worker.state != state:
            worker.state, worker.since = state, self.clock.now


@dataclass(frozen=True)
class _Reports:
    """What workers say and what they are asked, read whenever a scaler looks."""

    world: Ec2World

    def read(self, workers: Sequence[str], now: float) -> list[SeenReport]:
        return [
            SeenReport(
                self.world.report(name), now, now if name in self.world.drain_requests else None
            )
            for name in workers
        ]


class Scaler:
    """One scaler process: the loop of the daemon around the real decision and the real fleet."""

    def __init__(self, world: Ec2World, number: int) -> None:
        self.world, self.number = world, number
        self.history = History()
        self.running: SteppedWork | None = None
        self.ticks = 0
        self.fleet = Ec2Fleet(
            instances=Instances(cast(Any, FakeEc2(world.region, self._hook)), "vf"),
            ledger=LedgerStore(Store(cast(Any, FakeS3(world.bucket, self._hook)), "bucket")),
            settings=world.settings,
            maximum=MAXIMUM,
            scaler=f"scaler-{number}",
            clock=world.clock,
            random=Random(number),
        )
        self.observer = FleetObserver(cast(Any, world), self.fleet, cast(Any, _Reports(world)))

    def tick(self) -> None:
        """Look, decide and act once; a look that failed changes nothing."""
        try:
            self._tick(self.world.clock.now)
        except TryLater:
            return

    def _tick(self, now: float) -> None:
        seen = self.observer.observe(now, now)
        decision, self.history = decide(seen, POLICY, self.history, now)
        self._hook("decided")
        for worker in decision.terminate:
            self.fleet.terminate([worker])
            self.world.hidden.add(worker)
        self.world.drain_requests.update(decision.drain)
        if decision.launch:
            self.ticks += 1
            decision_id = f"{self.number}x{self.ticks}"
            self.world.decided[decision_id] = decision.launch
            self.fleet.launch(decision.launch, decision_id)

    def _hook(self, at: str) -> None:
        if self.running is not None:
            self.running.hook(at)
        self.world.check()
