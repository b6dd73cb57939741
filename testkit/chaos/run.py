"""Chaos for real classifiers: kills, stops, faults and outages."""

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from testkit.aws.embedded import BUCKETS, Cloud, cloud
from testkit.aws.fault_proxy import Call, FaultProxy, Faults, fault_proxy
from testkit.classifier.chaos_plan import PICTURES, REPLIES, REQUESTS, Outcome, Plan, job, judge
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until

BUSY_ROUNDS = 6  # some 20 ms of work per image
SETTINGS = """
queue: {visibility_timeout_seconds: 8, wait_seconds: 1}
classifier: {report_seconds: 2, stop_seconds: 5}
model: {threads: 1}
aws: {read_timeout_seconds: 3}
"""


class Fleet:
    """Workers in slots; each life of a slot has its own name and log."""

    def __init__(self, folder: Path, environment: dict[str, str], slots: int) -> None:
        self._folder, self._environment = folder, environment
        self._config = folder / "chaos.yaml"
        self._config.write_text(SETTINGS)
        self._lives: Counter[int] = Counter()
        self._stopping: list[Process] = []
        self.unexpected: list[str] = []
        self.unclean = 0
        self.workers = [self._start(slot) for slot in range(slots)]

    def ready(self) -> list[int]:
        """Slots whose worker is at work."""
        return [slot for slot, worker in enumerate(self.workers) if "ready" in worker.output()]

    def kill(self, slot: int) -> None:
        """End a worker at this very instant, and start the next one."""
        self.workers[slot].kill()
        self.workers[slot] = self._start(slot)

    def term(self, slot: int) -> None:
        """Ask a worker to stop, and start the next one meanwhile."""
        self.workers[slot].signal(signal.SIGTERM)
        self._stopping.append(self.workers[slot])
        self.workers[slot] = self._start(slot)

    def revive(self) -> None:
        """Restart what ended without being asked to: that is a finding."""
        for slot, worker in enumerate(self.workers):
            if not worker.running:
                self.unexpected.append(worker.tail(12))
                self.workers[slot] = self._start(slot)

    def stop(self) -> None:
        """End all in an orderly way, and see how they did."""
        for slot, worker in enumerate(self.workers):
            if worker.running:
                worker.signal(signal.SIGTERM)
                self._stopping.append(self.workers[slot])
        for worker in self._stopping:
            status = worker.wait(20)
            self.unclean += status == 1  # it could not hand all back, for want of SQS
            booting = status == -signal.SIGTERM and "ready" not in worker.output()
            if status not in (0, 1) and not booting:
                self.unexpected.append(worker.tail(12))

    def abandon(self) -> None:
        """Leave no process behind, whatever happened."""
        for worker in [*self.workers, *self._stopping]:
            worker.kill()

    def lines(self, text: str) -> int:
        """Count lines in all logs."""
        logs = self._folder.glob("worker-*.log")
        return sum(log.read_text(errors="replace").count(text) for log in logs)

    def _start(self, slot: int) -> Process:
        self._lives[slot] += 1
        name = f"w{slot}-{self._lives[slot]}"
        argv = [sys.executable, "-m", "visionfleetd.classifier.main"]
        argv += ["--config", str(self._config), "--worker", name]
        return Process(argv, self._folder / f"worker-{name}.log", self._environment)


@dataclass
class Chaos:
    """One run; `say` is told how it goes."""

    plan: Plan
    aws: Cloud
    proxy: FaultProxy
    fleet: Fleet
    random: Random
    say: Callable[[str], None]
    sent: int = 0

    def out(self, service: str, jobs: int, seconds: float) -> None:
        """Send jobs while one service has no answer but errors for a while."""
        self.proxy.faults = {service: Faults(error=1)}
        self._send(jobs)
        wait_until(self.fleet.ready, 90, self.fleet.workers[0].tail)
        time.sleep(seconds)

    def cause_chaos(self) -> None:
        """Send jobs in portions; kill, stop and cut off while they are worked on."""
        plan = self.plan
        blows = ["kill"] * plan.kills + ["term"] * plan.terms + ["outage"] * plan.outages
        self.random.shuffle(blows)
        wait_until(self.fleet.ready, 90, self.fleet.workers[0].tail)
        self.proxy.faults = {"S3": plan.faults, "SQS": plan.faults}
        for number, blow in enumerate(blows, 1):
            self._send(plan.jobs * number // len(blows))
            wait_until(self._at_work, 120, "a worker with jobs in hand", 0.1)
            time.sleep(self.random.uniform(0, plan.pause_seconds))
            self._strike(blow)
            self.fleet.revive()
            self.say(f"{number}/{len(blows)} {blow}, {self.sent} jobs sent")

    def settle(self, seconds: float) -> None:
        """Inject no more faults and wait until every job has ended."""
        self.proxy.faults = {}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._over():
            self.fleet.revive()
            time.sleep(0.5)

    def _send(self, until: int) -> None:
        for number in range(self.sent, until):
            image = encoded(numbered(number % PICTURES))
            self.aws.s3.put_object(Bucket=BUCKETS[0], Key=f"images/{job(number)}", Body=image)
        url = self.aws.queue_url(REQUESTS)
        for start in range(self.sent, until, 10):
            bodies = [request(number) for number in range(start, min(until, start + 10))]
            entries = [{"Id": str(i), "MessageBody": body} for i, body in enumerate(bodies)]
            assert not self.aws.sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")
        self.sent = until

    def _at_work(self) -> bool:
        """Work is in hand; or there is none left, and a blow at the idle is one too."""
        self.fleet.revive()
        visible, in_flight = self.aws.counts()
        return bool(self.fleet.ready()) and (in_flight > 0 or visible == 0)

    def _strike(self, blow: str) -> None:
        if blow == "outage":
            self.proxy.outage.set()
            time.sleep(self.plan.outage_seconds)
            self.proxy.outage.clear()
            return
        slot = self.random.choice(self.fleet.ready() or [0])
        (self.fleet.kill if blow == "kill" else self.fleet.term)(slot)

    def _over(self) -> bool:
        return self.aws.counts() == (0, 0) and len(self.aws.keys("results/")) == self.plan.jobs


def request(number: int) -> str:
    """Write a request; every tenth one asks for a reply."""
    reply_to = REPLIES if number % 10 == 0 else None
    document = {"v": 1, "job": job(number), "key": f"images/{job(number)}", "reply_to": reply_to}
    return json.dumps(document | {"sent_at": time.time()})


def run(plan: Plan, folder: Path, say: Callable[[str], None], calm_seconds: float = 180) -> Outcome:
    """Cause chaos, let it settle, and check every result."""
    begun = time.monotonic()
    counted: Counter[str] = Counter()

    def watch(call: Call) -> None:
        if not call.retry:
            counted[
                f"{call.operation} {call.path.split('/')[2] if '/' in call.path[1:] else ''}"
            ] += 1

    with (
        cloud(folder, {"VisibilityTimeout": "8"}) as aws,
        fault_proxy(aws.endpoint_url, plan.seed, watch) as proxy,
        chaos(plan, folder, aws, proxy, say) as running,
    ):
        running.cause_chaos()
        running.settle(calm_seconds)
        running.fleet.stop()
        outcome = judge(plan, aws)
        outcome.begun, outcome.offered = counted["S3 GET images"], counted["S3 PUT results"]
        outcome.ended = running.fleet.lines("classifier: job done ")
        outcome.unexpected_ends = running.fleet.unexpected
        outcome.unclean_stops = running.fleet.unclean
        outcome.faults, outcome.calls = dict(proxy.done), proxy.calls.total()
    outcome.seconds = time.monotonic() - begun
    return outcome


@contextmanager
def chaos(
    plan: Plan, folder: Path, aws: Cloud, proxy: FaultProxy, say: Callable[[str], None]
) -> Iterator[Chaos]:
    """Prepare queues for many attempts, the model, and workers behind the proxy."""
    allow_receives(aws, plan.max_receives)
    pictures = [numbered(i) for i in range(PICTURES)]
    labels = [f"label-{i}" for i in range(PICTURES)]
    model = table_model(folder, pictures, labels, BUSY_ROUNDS)
    environment = {**aws.environment, **model, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
    environment["AWS_MAX_ATTEMPTS"] = "3"
    environment["VISIONFLEET_QUEUE__MAX_RECEIVES"] = str(plan.max_receives)
    fleet = Fleet(folder, environment, plan.workers)
    try:
        yield Chaos(plan, aws, proxy, fleet, Random(plan.seed), say)
    finally:
        fleet.abandon()


def allow_receives(aws: Cloud, most: int) -> None:
    aws.sqs.create_queue(QueueName=REPLIES)
    url = aws.queue_url(REQUESTS)
    found = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": most}
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})
