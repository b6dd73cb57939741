"""One run of chaos: the service behind a proxy of faults, its clients, the blows, the judgement."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from random import Random

from testkit.aws.ec2_proxy import ec2_proxy
from testkit.aws.embedded import NAME, Cloud, add_template, cloud, ec2_client
from testkit.aws.fault_proxy import FaultProxy, fault_proxy
from testkit.aws.faults import COUNTED
from testkit.chaos.clients import Clients, Promises, outcome_of, running
from testkit.chaos.daemons import Daemons, Slot, daemons, worker_name
from testkit.chaos.plan import (
    CLOCK,
    DEAD,
    FREEZE,
    KILL,
    OUTAGE,
    PICTURES,
    REQUESTS,
    STOP,
    Outcome,
    Plan,
)
from testkit.images.models import table_model
from testkit.images.pictures import encoded, numbered
from testkit.processes.waiting import wait_until

Say = Callable[[str], None]


@lru_cache(PICTURES)
def picture(number: int) -> bytes:
    return encoded(numbered(number % PICTURES))


def label(number: int) -> str:
    return f"label-{number % PICTURES}"


@dataclass
class Chaos:
    """Blows between which the clients may go on; `say` is told how it goes."""

    plan: Plan
    aws: Cloud
    proxy: FaultProxy
    daemons: Daemons
    clients: Clients
    random: Random
    say: Say
    blows: Counter[str] = field(default_factory=Counter)

    def cause(self) -> None:
        plan = self.plan
        blows = [kind for kind, count in plan.blows.items() for _ in range(count)]
        self.random.shuffle(blows)
        self.proxy.faults = dict.fromkeys(("S3", "SQS", "EC2"), plan.faults)
        for number, blow in enumerate(blows, 1):
            self.clients.allow(plan.jobs * number // len(blows))
            before = plan.jobs * (number - 1) // len(blows)
            wait_until(partial(self._at_work, before), 300, self._state, 0.1)
            self._wait(self.random.uniform(0, plan.pause_seconds))
            self._strike(blow)
            self.say(f"{number}/{len(blows)} {blow}, {len(self.clients.promises.jobs)} accepted")
        self.clients.allow(plan.jobs)

    def settle(self) -> None:
        """Inject no more faults and wait until every upload is accepted and every job has ended, or
        until nothing has moved for `calm_seconds`.
        """
        self.daemons.thaw()
        self.proxy.faults = {}
        least, end = math.inf, time.monotonic() + self.plan.calm_seconds
        while time.monotonic() < end and not (self.clients.done() and self._empty()):
            left = self.plan.jobs - len(self.clients.promises.jobs) + sum(self.aws.counts())
            if left < least:
                least, end = left, time.monotonic() + self.plan.calm_seconds
            self._wait(0.5)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self.daemons.tend()
            if time.monotonic() >= end:
                return
            time.sleep(min(0.1, seconds))

    def _at_work(self, accepted: int) -> bool:
        """So many are accepted; more is in flight, or none, and the idle may be struck too."""
        self.daemons.tend()
        visible, in_flight = self.aws.counts()
        at_work = bool(self.daemons.ready()) and (in_flight > 0 or visible == 0)
        return at_work and len(self.clients.promises.jobs) >= accepted

    def _state(self) -> str:
        accepted, ready = (
            len(self.clients.promises.jobs),
            [slot.name for slot in self.daemons.ready()],
        )
        return f"{accepted} accepted, ready: {ready}, queue: {self.aws.counts()}"

    def _strike(self, blow: str) -> None:
        slot = self._target(blow)
        about = f"{blow} {slot.kind}"
        if blow == OUTAGE:
            about = blow
            self.proxy.outage.set()
            self._wait(self.plan.outage_seconds)
            self.proxy.outage.clear()
        elif blow == FREEZE:
            self.daemons.freeze(slot, self.random.uniform(1.0, self.plan.freeze_seconds))
        elif blow == CLOCK:
            step = self.plan.step_seconds
            slot.clock.set(self.random.uniform(-step, step))
        else:
            strikes: dict[str, Callable[[Slot], None]]
            strikes = {KILL: self.daemons.kill, STOP: self.daemons.stop}
            strikes[blow](slot)
        self.blows[about] += 1

    def _target(self, blow: str) -> Slot:
        """Choose among the ready ones of the kind that this blow has met least for its number."""
        ready = self.daemons.ready() or self.daemons.slots
        numbers = Counter(slot.kind for slot in self.daemons.slots)
        met = {kind: self.blows[f"{blow} {kind}"] / number for kind, number in numbers.items()}
        least = min(met[slot.kind] for slot in ready)
        return self.random.choice([slot for slot in ready if met[slot.kind] == least])

    def _empty(self) -> bool:
        return self.aws.counts() == (0, 0)


def run(plan: Plan, folder: Path, say: Say) -> Outcome:
    """Cause chaos, let it settle, and judge every promise that was made."""
    begun = time.monotonic()
    with (
        cloud(folder, {"VisibilityTimeout": "8"}) as aws,
        ec2_proxy(aws.endpoint_url) as ec2,
        fault_proxy(aws.endpoint_url, plan.seed, ec2=ec2.url) as proxy,
        service(plan, folder, aws, proxy) as behind,
        running(Clients(behind.ports, picture, label, plan.jobs, plan.seed), plan.clients) as all_,
    ):
        wait_until(behind.all_ready, 180, behind.tails)
        chaos = Chaos(plan, aws, proxy, behind, all_, Random(plan.seed), say)
        chaos.cause()
        calm = time.time()
        chaos.settle()
        outcome = judge(plan, aws, behind.ports, all_.promises)
        outcome.scaler_is_silent = bool(plan.scalers) and not told_of_the_fleet(aws, calm)
        outcome.instances = instances(aws)
        behind.end()
    outcome.unexpected_ends, outcome.unclean_stops = behind.unexpected, behind.unclean
    outcome.blows, outcome.faults = dict(chaos.blows), injected(proxy)
    outcome.calls = proxy.calls.total()
    outcome.seconds = time.monotonic() - begun
    return outcome


def injected(proxy: FaultProxy) -> dict[str, int]:
    """Count the faults by kind; the kinds that were never met too."""
    return {kind: proxy.done[kind] for kind in COUNTED}


@contextmanager
def service(
    plan: Plan, folder: Path, aws: Cloud, proxy: FaultProxy, **settings: str
) -> Iterator[Daemons]:
    """Run web daemons and workers behind the proxy, with many deliveries for each job."""
    policy = f'{{"deadLetterTargetArn": "{_arn(aws)}", "maxReceiveCount": {plan.max_receives}}}'
    url = aws.queue_url(REQUESTS)
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    pictures = [numbered(i) for i in range(PICTURES)]
    model = table_model(folder, pictures, [label(i) for i in range(PICTURES)])
    environment = {
        **aws.environment,
        **model,
        **settings,
        "VISIONFLEET_AWS__ENDPOINT_URL": proxy.url,
    }
    environment["VISIONFLEET_QUEUE__MAX_RECEIVES"] = str(plan.max_receives)
    if plan.scalers:
        add_template(ec2_client(aws))
    with daemons(folder, environment, plan) as made:
        yield made


def _arn(aws: Cloud) -> str:
    found = aws.sqs.get_queue_attributes(QueueUrl=aws.queue_url(DEAD), AttributeNames=["QueueArn"])
    return str(found["Attributes"]["QueueArn"])


def judge(plan: Plan, aws: Cloud, ports: list[int], promises: Promises) -> Outcome:
    """Ask for every accepted job over HTTP, and look what is left over."""
    promised = {job: number for number, jobs in promises.jobs.items() for job in jobs}
    outcome = Outcome(jobs=plan.jobs, accepted=len(promised), surprises=promises.surprises)
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(promised, pool.map(partial(outcome_of, ports), promised), strict=True))
    right, by_runtime = set(), Counter[str]()
    runtimes = {worker_name(n): plan.runtime_of(n) for n in range(plan.workers)}
    for job, answer in found.items():
        if answer is None or answer.status == 202:
            outcome.stuck += 1
        elif answer.status != 200:
            outcome.lost += 1
        elif answer.document.get("label") != label(promised[job]):
            outcome.wrong += 1
        else:
            right.add(job)
            attempts = answer.document["attempts"]
            assert isinstance(attempts, int)
            outcome.most_attempts = max(outcome.most_attempts, attempts)
            worker, _, _ = str(answer.document["worker"]).partition("-")
            by_runtime[runtimes[worker]] += 1
    twice = {number for number, jobs in promises.jobs.items() if number % 3 == 0 and len(jobs) > 1}
    outcome.wrong += len(twice)
    good = {number for number, jobs in promises.jobs.items() if jobs <= right} - twice
    outcome.right = len(good)
    outcome.stuck += plan.jobs - len(promises.jobs)  # never accepted
    outcome.wrong += _wrong_among_the_unclaimed(aws, set(promised))
    outcome.requests_left, outcome.dead_letters = sum(aws.counts()), sum(aws.counts(DEAD))
    outcome.clients, outcome.by_runtime = dict(promises.counts), dict(by_runtime)
    return outcome


def told_of_the_fleet(aws: Cloud, since: float) -> bool:
    """Wait for a status of the fleet that is newer; an unchanged one comes every minute."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found = aws.s3.list_objects_v2(Bucket=f"{NAME}-output", Prefix="fleet/status.json")
        if any(one["LastModified"].timestamp() > since for one in found.get("Contents", ())):
            return True
        time.sleep(0.5)
    return False


def instances(aws: Cloud) -> int:
    pages = (
        ec2_client(aws)
        .get_paginator("describe_instances")
        .paginate(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    )
    return sum(len(found["Instances"]) for page in pages for found in page["Reservations"])


def _wrong_among_the_unclaimed(aws: Cloud, promised: set[str]) -> int:
    """Look at the jobs of uploads whose answer was lost: they are right, too."""
    numbers = {picture(number): number for number in range(PICTURES)}
    wrong = 0
    for key in aws.keys("results/"):
        job = key.removeprefix("results/").removesuffix(".json")
        if job not in promised:
            image = aws.object(f"images/{job}", f"{NAME}-input") or b""
            number = numbers.get(image)  # a part of a picture is nobody's upload
            told = (aws.result(job) or {}).get("label")
            wrong += number is None or told != label(number)
    return wrong
