"""A storm over real classifiers: kills, stops, faults and outages, and what came of it."""

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from testkit.aws.embedded import BUCKETS, NAME, Cloud, cloud
from testkit.aws.fault_proxy import Call, Faults, Faulty, faulty
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until

REQUESTS, DEAD, REPLIES = f"{NAME}-requests", f"{NAME}-requests-dead", f"{NAME}-replies-chaos-0"
PICTURES = 200  # job i shows picture i % 200, so a swapped answer is a wrong one
BUSY_ROUNDS = 6  # some 20 ms of work per image
WILD = Faults(reset_before=0.04, lost_answer=0.04, error=0.04, slow_down=0.04, latency=0.08)
SETTINGS = """
queue: {visibility_timeout_seconds: 8, wait_seconds: 1}
classifier: {report_seconds: 2, stop_seconds: 5}
model: {threads: 1}
aws: {read_timeout_seconds: 3}
"""


@dataclass(frozen=True)
class Plan:
    """How long and how wild the storm is."""

    jobs: int
    kills: int
    terms: int
    outages: int
    workers: int
    seed: int
    # A job is received more often than in years of service: it must not run out of attempts.
    max_receives: int = 1000
    faults: Faults = WILD
    pause_seconds: float = 2.0  # the longest one between work seen and the next blow
    outage_seconds: float = 4.0


@dataclass
class Verdict:
    """What came of it. `begun` counts images fetched, `offered` results that came to S3."""

    jobs: int
    results: int = 0
    succeeded: int = 0
    failed: int = 0
    wrong: int = 0
    lost: int = 0
    begun: int = 0
    offered: int = 0
    ended: int = 0
    most_attempts: int = 0
    replies_asked: int = 0
    replies: int = 0
    requests_left: int = 0
    dead_letters: int = 0
    kills: int = 0
    terms: int = 0
    outages: int = 0
    unclean_stops: int = 0
    unexpected_ends: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    seconds: float = 0.0

    @property
    def duplicates(self) -> int:
        """Results that were computed and offered to S3, but were not the first one."""
        return self.offered - self.jobs

    def kept(self) -> bool:
        """Tell whether the promise was kept: one right result per job, and nothing left over."""
        right = self.results == self.succeeded == self.jobs and not (self.wrong or self.lost)
        return right and not (self.requests_left or self.dead_letters or self.unexpected_ends)


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
class Storm:
    """One run; `say` is told how it goes."""

    plan: Plan
    aws: Cloud
    proxy: Faulty
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

    def rage(self) -> None:
        """Send jobs in portions, and strike while they are worked on."""
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

    def calm(self, seconds: float) -> None:
        """No more harm: all that was sent must come to its end."""
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


def job(number: int) -> str:
    return f"job-{number:06d}"


def request(number: int) -> str:
    """Write a request; every tenth one asks for a reply."""
    reply_to = REPLIES if number % 10 == 0 else None
    document = {"v": 1, "job": job(number), "key": f"images/{job(number)}", "reply_to": reply_to}
    return json.dumps(document | {"sent_at": time.time()})


def run(plan: Plan, folder: Path, say: Callable[[str], None], calm_seconds: float = 180) -> Verdict:
    """Let the storm rage and judge what it left."""
    begun = time.monotonic()
    counted: Counter[str] = Counter()

    def watch(call: Call) -> None:
        if not call.retry:
            counted[
                f"{call.operation} {call.path.split('/')[2] if '/' in call.path[1:] else ''}"
            ] += 1

    with (
        cloud(folder, {"VisibilityTimeout": "8"}) as aws,
        faulty(aws.endpoint_url, plan.seed, watch) as proxy,
        storm(plan, folder, aws, proxy, say) as raging,
    ):
        raging.rage()
        raging.calm(calm_seconds)
        raging.fleet.stop()
        verdict = judge(plan, aws)
        verdict.begun, verdict.offered = counted["S3 GET images"], counted["S3 PUT results"]
        verdict.ended = raging.fleet.lines("classifier: job done ")
        verdict.unexpected_ends = raging.fleet.unexpected
        verdict.unclean_stops = raging.fleet.unclean
        verdict.faults, verdict.calls = dict(proxy.done), proxy.calls.total()
    verdict.seconds = time.monotonic() - begun
    return verdict


@contextmanager
def storm(
    plan: Plan, folder: Path, aws: Cloud, proxy: Faulty, say: Callable[[str], None]
) -> Iterator[Storm]:
    """Set the stage: queues for many attempts, the model, and workers behind the proxy."""
    allow_receives(aws, plan.max_receives)
    pictures = [numbered(i) for i in range(PICTURES)]
    labels = [f"label-{i}" for i in range(PICTURES)]
    model = table_model(folder, pictures, labels, BUSY_ROUNDS)
    environment = {**aws.environment, **model, "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url}
    environment["AWS_MAX_ATTEMPTS"] = "3"
    environment["VISIONFLEET_QUEUE__MAX_RECEIVES"] = str(plan.max_receives)
    fleet = Fleet(folder, environment, plan.workers)
    try:
        yield Storm(plan, aws, proxy, fleet, Random(plan.seed), say)
    finally:
        fleet.abandon()


def allow_receives(aws: Cloud, most: int) -> None:
    aws.sqs.create_queue(QueueName=REPLIES)
    url = aws.queue_url(REQUESTS)
    found = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = json.loads(found["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": most}
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": json.dumps(policy)})


def judge(plan: Plan, aws: Cloud) -> Verdict:
    """Read every result, and look what the queues still hold."""
    found: list[dict[str, Any] | None] = [aws.result(job(i)) for i in range(plan.jobs)]
    results = [each for each in found if each is not None]
    verdict = Verdict(jobs=plan.jobs, kills=plan.kills, terms=plan.terms, outages=plan.outages)
    verdict.results = len(aws.keys("results/"))
    verdict.lost = plan.jobs - len(results)
    verdict.failed = sum(each["status"] == "failed" for each in results)
    verdict.succeeded = len(results) - verdict.failed
    verdict.wrong = sum(
        each is not None and each.get("label") != f"label-{i % PICTURES}"
        for i, each in enumerate(found)
    )
    verdict.most_attempts = max((each["attempts"] for each in results), default=0)
    verdict.replies_asked = len(range(0, plan.jobs, 10))
    verdict.replies = sum(aws.counts(REPLIES))
    verdict.requests_left = sum(aws.counts())
    verdict.dead_letters = sum(aws.counts(DEAD))
    return verdict
