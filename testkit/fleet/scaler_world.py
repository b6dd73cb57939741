"""A world for the scaler without sockets: S3, SQS and a fleet in memory, and a clock that is set.

Services can be out, and every call is counted. Workers boot, report while S3 answers, take work
from the queue and obey the request to drain.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from testkit.fleet.policies import policy
from visionfleet.aws.reply_queues import ReplyQueues
from visionfleet.aws.s3 import Listed, Stat, Store
from visionfleet.aws.sqs import Counts, Queue
from visionfleet.config.scaler import ScalerSection
from visionfleet.contract.messages import WorkerReport, WorkerState, encode
from visionfleet.contract.names import drain_key, worker_key
from visionfleet.errors import TryLater
from visionfleet.fleet.base import Member
from visionfleet.scaler.autoscaler import Autoscaler
from visionfleet.scaler.executor import Executor
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.metrics import ScalerMetrics
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.status_store import StatusStore
from visionfleet.scaler.worker_reports import WorkerReports

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

POLICY = policy(5, boot_seconds=30, hold_seconds=60, service_seconds=1)
REPORT_SECONDS = 30.0


@dataclass
class FakeWorker:
    """One worker of the world."""

    launched_at: float
    state: WorkerState = "booting"
    since: float = 0.0
    reported: tuple[WorkerState, float] | None = None


@dataclass
class ScalerWorld:
    """What all scalers of a test share. `out` names the services that do not answer; the clocks of
    the workers and of S3 may be off by so many seconds.
    """

    now: float = 1_000_000.0
    out: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    queue: int = 0
    objects: dict[str, tuple[bytes, str, float]] = field(default_factory=dict)
    reply_queues: dict[str, dict[str, str]] = field(default_factory=dict)
    workers: dict[str, FakeWorker] = field(default_factory=dict)
    terminated: list[tuple[str, WorkerState]] = field(default_factory=list)
    boot_seconds: float = 20.0
    images_per_second: float = 1.0
    peak: int = 0
    launched: int = 0
    workers_off: float = 0.0
    s3_off: float = 0.0
    writes: int = 0

    def call(self, service: str, operation: str) -> None:
        """Count a call; no answer while the service is out."""
        self.calls[operation] += 1
        if service in self.out:
            raise TryLater(f"{operation}: no answer")

    def pass_time(self, seconds: float) -> None:
        """Let workers boot, work and report."""
        self.now += seconds
        for name, worker in self.workers.items():
            self._live(name, worker, seconds)

    def _live(self, name: str, worker: FakeWorker, seconds: float) -> None:
        state = worker.state
        if state == "booting" and self.now - worker.launched_at >= self.boot_seconds:
            state = "idle"
        if state in ("idle", "busy"):
            state = "busy" if self.queue and "SQS" not in self.out else "idle"
            if state == "busy":
                self.queue = max(0, self.queue - round(seconds * self.images_per_second))
            elif self._asked(name, worker):
                state = "drained"
        if state != worker.state:
            worker.state, worker.since = state, self.now
        self._report(name, worker)

    def _asked(self, name: str, worker: FakeWorker) -> bool:
        asked = None if "S3" in self.out else self.objects.get(drain_key(name))
        return asked is not None and asked[2] - self.s3_off >= worker.launched_at

    def _report(self, name: str, worker: FakeWorker) -> None:
        due = worker.reported is None or worker.reported[0] != worker.state
        due = due or worker.reported is None or self.now - worker.reported[1] >= REPORT_SECONDS
        if not due or worker.state == "booting" or "S3" in self.out:
            return
        worker.reported = (worker.state, self.now)
        report = WorkerReport(
            worker=name,
            state=worker.state,
            since=worker.since + self.workers_off,
            reported_at=self.now + self.workers_off,
            started_at=worker.launched_at + 1 + self.workers_off,
            boot_seconds=self.boot_seconds - 1,
            version="1",
            host="h",
        )
        self.put(worker_key(name), encode(report).encode())

    def put(self, key: str, body: bytes, at: float | None = None) -> str:
        """Write an object without a call being counted; returns its ETag."""
        self.writes += 1
        self.objects[key] = (body, f'"{self.writes}"', self.now + self.s3_off if at is None else at)
        return self.objects[key][1]


class FakeStore(Store):
    """The bucket of the world."""

    def __init__(self, world: ScalerWorld) -> None:
        super().__init__(cast("S3Client", None), "results")
        self._world = world

    def put(
        self,
        key: str,
        body: bytes,
        content_type: str = "",
        metadata: Mapping[str, str] = {},
        condition: Mapping[str, str] = {},
    ) -> str:
        self._world.call("S3", "S3 PUT")
        return self._world.put(key, body)

    def put_json_if(self, key: str, text: str, etag: str | None) -> str | None:
        self._world.call("S3", "S3 PUT")
        there = self._world.objects.get(key)
        if (None if there is None else there[1]) != etag:
            return None
        return self._world.put(key, text.encode())

    def find_tagged(self, key: str) -> tuple[bytes, str] | None:
        self._world.call("S3", "S3 GET")
        found = self._world.objects.get(key)
        return None if found is None else found[:2]

    def find_stat(self, key: str) -> Stat | None:
        self._world.call("S3", "S3 HEAD")
        found = self._world.objects.get(key)
        return (
            None
            if found is None
            else Stat(0, found[1], self._world.now + self._world.s3_off - found[2])
        )

    def listed(self, prefix: str) -> list[Listed]:
        self._world.call("S3", "S3 LIST")
        found = sorted(self._world.objects.items())
        return [Listed(k, etag, at) for k, (_, etag, at) in found if k.startswith(prefix)]

    def delete(self, key: str) -> None:
        self._world.call("S3", "S3 DELETE")
        self._world.objects.pop(key, None)


class FakeQueue(Queue):
    """The queue of requests; what workers work on is in flight."""

    def __init__(self, world: ScalerWorld) -> None:
        self._world = world
        self.name = "visionfleet-requests"

    def counts(self) -> Counts:
        self._world.call("SQS", "SQS")
        busy = sum(worker.state == "busy" for worker in self._world.workers.values())
        held = min(busy, self._world.queue)
        return Counts(self._world.queue - held, held)


class FakeReplyQueues(ReplyQueues):
    """Reply queues and their tags."""

    def __init__(self, world: ScalerWorld, prefix: str = "visionfleet-replies-") -> None:
        self._world, self._prefix = world, prefix

    def urls(self) -> list[str]:
        self._world.call("SQS", "SQS")
        names = [name for name in self._world.reply_queues if name.startswith(self._prefix)]
        return [f"https://sqs/1/{name}" for name in names]

    def tags(self, url: str) -> Mapping[str, str]:
        self._world.call("SQS", "SQS")
        return self._world.reply_queues.get(url.rsplit("/", 1)[-1], {})

    def remove(self, url: str) -> None:
        self._world.call("SQS", "SQS")
        self._world.reply_queues.pop(url.rsplit("/", 1)[-1], None)


class FakeFleet:
    """Starts and ends the workers of the world; launching is free of any limit."""

    maximum = 1000

    def __init__(self, world: ScalerWorld) -> None:
        self._world = world
        self.decisions: list[str] = []

    def checks(self) -> Sequence[Callable[[], object]]:
        """Always there."""
        return ()

    def alarms(self) -> tuple[str, ...]:
        """Nothing to mend."""
        return ()

    def market_reason(self) -> str:
        return ""

    def members(self) -> list[Member]:
        self._world.call("EC2", "EC2")
        return [Member(name, worker.launched_at) for name, worker in self._world.workers.items()]

    def launch(self, count: int, decision_id: str) -> list[str]:
        self._world.call("EC2", "EC2")
        self.decisions.append(decision_id)
        world, names = self._world, []
        for _ in range(count):
            names.append(f"i-{world.launched:03d}")
            world.launched += 1
            world.workers[names[-1]] = FakeWorker(world.now, since=world.now)
        world.peak = max(world.peak, len(world.workers))
        return names

    def terminate(self, names: Sequence[str]) -> None:
        self._world.call("EC2", "EC2")
        for name in names:
            worker = self._world.workers.pop(name, None)
            if worker is not None:
                self._world.terminated.append((name, worker.state))


@dataclass
class Clock:
    """A host's wall clock: that of the world, and how far it is off."""

    world: ScalerWorld
    off_seconds: float = 0.0

    def __call__(self) -> float:
        return self.world.now + self.off_seconds


def scaler(
    world: ScalerWorld, name: str = "a", off_seconds: float = 0.0, deployment: str = "vision"
) -> Autoscaler:
    """Make a scaler of this world, with the default lease."""
    clock, store, fleet = Clock(world, off_seconds), FakeStore(world), FakeFleet(world)
    metrics = ScalerMetrics()
    return Autoscaler(
        observer=FleetObserver(FakeQueue(world), fleet, WorkerReports(store)),
        leader_lease=LeaderLease(store, name, deployment, ScalerSection(), clock, Clock(world)),
        status_store=StatusStore(store),
        executor=Executor(fleet, store, metrics, clock, lambda now: f"{name}-{now}"),
        garbage_collector=GarbageCollector(FakeReplyQueues(world), store, 600.0),
        metrics=metrics,
        policy=POLICY,
        now=clock,
        clock=Clock(world),
        pause=lambda _: None,
    )


def run(
    world: ScalerWorld, scalers: Sequence[Autoscaler], seconds: float, step: float = 4.0
) -> int:
    """Let time pass with these scalers ticking in turn; returns how many ticks failed."""
    failed = 0
    for _ in range(round(seconds / step)):
        world.pass_time(step)
        for each in scalers:
            try:
                each.tick()
            except TryLater:
                failed += 1
    return failed


def status_of(world: ScalerWorld) -> dict[str, object]:
    """Read the status that was written last."""
    found: dict[str, object] = json.loads(world.objects["fleet/status.json"][0])
    return found
