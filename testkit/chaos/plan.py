"""What a chaos run is to do, what came of it, and how that is read from S3 and SQS."""

from dataclasses import dataclass, field
from typing import Any

from testkit.aws.embedded import NAME, Cloud
from testkit.aws.fault_proxy import Faults

REQUESTS, DEAD, REPLIES = f"{NAME}-requests", f"{NAME}-requests-dead", f"{NAME}-replies-chaos-0"
PICTURES = 200  # job i shows picture i % 200, so a swapped answer is a wrong one
WILD = Faults(reset_before=0.04, lost_answer=0.04, error=0.04, slow_down=0.04, latency=0.08)


@dataclass(frozen=True)
class Plan:
    """How long and how severe the chaos is."""

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
class Outcome:
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


def job(number: int) -> str:
    return f"job-{number:06d}"


def judge(plan: Plan, aws: Cloud) -> Outcome:
    """Read every result, and look what the queues still hold."""
    found: list[dict[str, Any] | None] = [aws.result(job(i)) for i in range(plan.jobs)]
    results = [each for each in found if each is not None]
    outcome = Outcome(jobs=plan.jobs, kills=plan.kills, terms=plan.terms, outages=plan.outages)
    outcome.results = len(aws.keys("results/"))
    outcome.lost = plan.jobs - len(results)
    outcome.failed = sum(each["status"] == "failed" for each in results)
    outcome.succeeded = len(results) - outcome.failed
    outcome.wrong = sum(
        each is not None and each.get("label") != f"label-{i % PICTURES}"
        for i, each in enumerate(found)
    )
    outcome.most_attempts = max((each["attempts"] for each in results), default=0)
    outcome.replies_asked = len(range(0, plan.jobs, 10))
    outcome.replies = sum(aws.counts(REPLIES))
    outcome.requests_left = sum(aws.counts())
    outcome.dead_letters = sum(aws.counts(DEAD))
    return outcome
