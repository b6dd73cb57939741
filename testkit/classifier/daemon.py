"""The real classifier for tests."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from testkit.aws.embedded import Cloud
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, ended, started_module
from testkit.processes.fork_server import ForkServer
from testkit.processes.waiting import wait_until

REPLIES = "visionfleet-replies-test-0"
PICTURES = 40  # that the models of tests know
Start = Callable[..., AbstractContextManager[Process]]


MAIN = "visionfleetd.classifier.main"


@contextmanager
def classifier_daemon(
    aws: Cloud, folder: Path, worker: str, settings: str, **variables: str
) -> Iterator[Process]:
    """Start a classifier without waiting for it; its log is `folder`/`worker`.log."""
    arguments, log, env = _start(aws, folder, worker, settings, variables)
    with started_module(MAIN, *arguments, log=log, env=env, stop_seconds=20) as process:
        yield process


@contextmanager
def forked_classifier(
    server: ForkServer, aws: Cloud, folder: Path, worker: str, settings: str, **variables: str
) -> Iterator[Process]:
    """The same from a fork server of MAIN, which has imported torch: seconds of a core sooner."""
    process = server.start(*_start(aws, folder, worker, settings, variables))
    with ended(process, stop_seconds=20):
        yield process


def _start(
    aws: Cloud, folder: Path, worker: str, settings: str, variables: Mapping[str, str]
) -> tuple[tuple[str, ...], Path, dict[str, str]]:
    """Write the configuration; returns arguments, log and environment."""
    config = folder / "visionfleet.yaml"
    config.write_text(settings)
    env = {"RUNTIME_DIRECTORY": str(folder / "run"), **aws.environment, **variables}
    return ("--config", str(config), "--worker", worker), folder / f"{worker}.log", env


def send(aws: Cloud, numbers: range, **fields: object) -> list[str]:
    """Upload pictures and send the requests for them; returns the jobs."""
    jobs = [f"job{i}" for i in numbers]
    for job, number in zip(jobs, numbers, strict=True):
        image = encoded(numbered(number))
        aws.send_request(job, image, **{"reply_to": REPLIES, "sent_at": time.time(), **fields})
    return jobs


def results(aws: Cloud, jobs: list[str], seconds: float = 40) -> dict[str, Any]:
    """Wait until every job has its result."""
    wait_until(lambda: len(aws.keys("results/job")) >= len(jobs), seconds, "all results")
    return {job: aws.result(job) for job in jobs}


def report(aws: Cloud, worker: str = "w_0") -> dict[str, Any]:
    found = aws.object(f"fleet/workers/{worker}.json")
    return {} if found is None else json.loads(found)
