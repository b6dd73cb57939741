"""A worker that answers what is in the queue of an embedded AWS, and what that costs it."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import stage_times
from testkit.aws.embedded import CREDENTIALS, Cloud, cloud
from testkit.processes.daemons import Process, started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

REPLIES = "visionfleet-replies-bench-0"
WARM_UP = 32
MODULES = {
    "daemon": "visionfleetd.classifier.main",
    "naive": "bench.naive_worker",
    "before": "visionfleetd.classifier",
}


@dataclass(frozen=True)
class Cost:
    """What one run cost, per image and per second."""

    cpu_ms: float
    images_per_second: float
    stage_ms: dict[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def through_queue(
    contender: str,
    folder: Path,
    pictures: Sequence[bytes],
    env: Mapping[str, str],
    late_ms: int = 0,
) -> Cost:
    """Send all images to a worker that is warm, and wait for all results."""
    module = "bench.late_aws" if late_ms else "testkit.aws.embedded_server"
    late = {"LATE_MS": str(late_ms)}
    with (
        tempfile.TemporaryDirectory(dir=folder) as name,
        cloud(Path(name), environment=late, module=module) as aws,
    ):
        aws.sqs.create_queue(QueueName=REPLIES)
        upload(aws, pictures)
        # By its process id, the default, a worker's metrics may have another port.
        named = ("--worker", "bench") if contender == "daemon" else ()
        argv = [sys.executable, "-m", MODULES[contender], *named]
        whole = {**CREDENTIALS, **aws.environment, **env, "VISIONFLEET_LOG__LEVEL": "INFO"}
        port = free_port()
        whole["VISIONFLEET_CLASSIFIER__METRICS_PORT"] = str(port)
        metrics = f"http://127.0.0.1:{port}/metrics" if contender == "daemon" else None
        with started(argv, Path(name) / "worker.log", whole, stop_seconds=30) as worker:
            worker.wait_for_output("ready", 300)
            send(aws, range(WARM_UP), "warm")
            wait_until(lambda: done(aws, "warm") == WARM_UP, 300, worker.tail)
            return timed(aws, worker, len(pictures), metrics)


def timed(aws: Cloud, worker: Process, count: int, metrics: str | None) -> Cost:
    """Measure from the first request to the last result."""
    before = stage_times.spent(metrics) if metrics else {}
    cpu, wall = worker.cpu_seconds(), time.perf_counter()
    send(aws, range(count), "job")
    wait_until(lambda: aws.counts() == (0, 0), 300, worker.tail, interval_seconds=0.1)
    wall = time.perf_counter() - wall
    cpu = worker.cpu_seconds() - cpu
    assert done(aws, "job") == count, worker.tail()
    each = stage_times.each(before, stage_times.spent(metrics), count) if metrics else {}
    return Cost(1000 * cpu / count, count / wall, each)


def upload(aws: Cloud, pictures: Sequence[bytes]) -> None:
    """Put all images, before anything is measured."""
    for number, data in enumerate(pictures):
        aws.s3.put_object(Bucket="visionfleet-input", Key=f"images/{number}", Body=data)


def send(aws: Cloud, numbers: range, prefix: str) -> None:
    """Send requests for images that are there, ten at a time."""
    url = aws.queue_url("visionfleet-requests")
    bodies = [
        json.dumps(
            {
                "v": 1,
                "job": f"{prefix}{number}",
                "key": f"images/{number}",
                "reply_to": REPLIES,
                "sent_at": time.time(),
            }
        )
        for number in numbers
    ]
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(i), "MessageBody": b} for i, b in enumerate(bodies[start : start + 10])
        ]
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def done(aws: Cloud, prefix: str) -> int:
    """Count the results."""
    return len(aws.keys(f"results/{prefix}"))
