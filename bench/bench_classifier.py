"""The classifier against its physical limit, a naive worker, and LitServe.

CPU seconds per image are the operating system's accounting of the one process that does the work;
images per second are measured with the embedded AWS on the same cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from bench import stage_times
from bench.cpu_time import none_left, tree_cpu_seconds
from bench.figures import RESULTS, median, save, show
from bench.workload import models, photos
from testkit.aws.embedded import CREDENTIALS, Cloud, cloud
from testkit.processes.daemons import PYTHONPATH, Process, started
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

REPLIES = "visionfleet-replies-bench-0"
WARM_UP = 32
# AWS speaks of tens of milliseconds for SQS (its FAQ) and of 100 to 200 for small objects of S3
# ("Best practices design patterns: optimizing Amazon S3 performance").
LATE_MS = 20
MODULES = {"daemon": "visionfleetd.classifier.main", "naive": "bench.naive_worker"}


@dataclass(frozen=True)
class Cost:
    """What one run cost, per image and per second."""

    cpu_ms: float
    images_per_second: float
    stage_ms: dict[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def main() -> None:
    """Run everything, print, plot, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; default: made ones")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vf-bench-") as name:
        figures = run(Path(name), arguments)
    report(figures, arguments)


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, Cost]]:
    """Measure each contender on each model: {model: {contender: median cost}}."""
    pictures = photos(arguments.photos, arguments.images)
    files = folder / "photos"
    files.mkdir()
    for number, data in enumerate(pictures):
        (files / f"{number:05d}.jpg").write_bytes(data)
    (folder / "visionfleet.yaml").write_text("log: {level: WARNING}\n")
    costs: dict[str, dict[str, Cost]] = {}
    for model, chosen in models(folder).items():
        env = {
            **chosen,
            "VISIONFLEET_CONFIG": str(folder / "visionfleet.yaml"),
            "VISIONFLEET_MODEL__THREADS": str(arguments.threads),
            "OMP_NUM_THREADS": str(arguments.threads),
        }
        contenders: dict[str, Callable[[], Cost]] = {
            "bare loop": partial(bare_loop, files, env),
            "daemon": partial(through_queue, "daemon", folder, pictures, env),
            "naive": partial(through_queue, "naive", folder, pictures, env),
        }
        if model == "instant":
            for name in ("daemon", "naive"):
                late = partial(through_queue, name, folder, pictures, env, LATE_MS)
                contenders[f"{name}, late AWS"] = late
        if model != "instant":
            precise = env | {"VISIONFLEET_MODEL__PRECISION": "float32"}
            contenders["bare loop float32"] = partial(bare_loop, files, precise)
        if model == "resnet18":
            contenders["litserve"] = partial(litserve, folder, pictures, env)
        costs[model] = {name: several(f, arguments.runs, name) for name, f in contenders.items()}
    return costs


def several(measure: Callable[[], Cost], runs: int, name: str) -> Cost:
    """The median of several runs."""
    found = [measure() for _ in range(runs)]
    print(f"  {name}: " + ", ".join(f"{c.cpu_ms:.1f} ms" for c in found), file=sys.stderr)
    cpu, rate = [c.cpu_ms for c in found], [c.images_per_second for c in found]
    known = found[0].stage_ms
    each = {stage: median([c.stage_ms[stage] for c in found]) for stage in known}
    return Cost(median(cpu), median(rate), each, found[0].labels)


def bare_loop(files: Path, env: dict[str, str]) -> Cost:
    """Decode and classify, in a process of its own."""
    command = [sys.executable, "-m", "bench.bare_loop", str(files)]
    whole = {**os.environ, "PYTHONPATH": PYTHONPATH, **env}
    done = subprocess.run(command, env=whole, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    count = said["images"]
    each = {stage: 1000 * seconds / count for stage, seconds in said["stages"].items()}
    return Cost(1000 * said["cpu"] / count, count / said["wall"], each, tuple(said["labels"]))


def through_queue(
    contender: str,
    folder: Path,
    pictures: Sequence[bytes],
    env: dict[str, str],
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
        argv = [sys.executable, "-m", MODULES[contender]]
        whole = {**CREDENTIALS, **aws.environment, **env, "VISIONFLEET_LOG__LEVEL": "INFO"}
        port = free_port()
        whole["VISIONFLEET_CLASSIFIER__METRICS_PORT"] = str(port)
        metrics = f"http://127.0.0.1:{port}/metrics" if contender == "daemon" else None
        with started(argv, Path(name) / "worker.log", whole, stop_seconds=30) as worker:
            worker.wait_for_output("ready", 120)
            send(aws, range(WARM_UP), "warm")
            wait_until(lambda: done(aws, "warm") == WARM_UP, 60, worker.tail)
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


def litserve(folder: Path, pictures: Sequence[bytes], env: dict[str, str]) -> Cost:
    """Upload all images to LitServe, 16 at a time; its CPU is that of all its processes."""
    port = free_port()
    argv = [sys.executable, "-m", "bench.litserve_app"]
    log = folder / f"litserve-{port}.log"
    with (
        started(argv, log, {**env, "PORT": str(port)}, stop_seconds=30) as server,
        none_left(server.pid),
    ):
        url = f"http://127.0.0.1:{port}"
        pool = urllib3.PoolManager(maxsize=16, retries=False)
        wait_until(lambda: accepts(port) and healthy(pool, url), 120, server.tail, 0.5)

        def upload_one(data: bytes) -> None:
            answer = pool.request("POST", f"{url}/predict", fields={"file": ("a.jpg", data)})
            assert answer.status == 200, answer.data

        with ThreadPoolExecutor(16) as clients:
            list(clients.map(upload_one, pictures[:WARM_UP]))
            cpu, wall = tree_cpu_seconds(server.pid), time.perf_counter()
            list(clients.map(upload_one, pictures))
            wall = time.perf_counter() - wall
            cpu = tree_cpu_seconds(server.pid) - cpu
    return Cost(1000 * cpu / len(pictures), len(pictures) / wall)


def healthy(pool: urllib3.PoolManager, url: str) -> bool:
    """Tell whether LitServe has loaded its model."""
    return pool.request("GET", f"{url}/health").status == 200


def ratios(costs: dict[str, dict[str, Cost]]) -> dict[str, float]:
    """The figures that count."""
    default, resnet, instant = costs["default"], costs["resnet18"], costs["instant"]
    return {
        "cpu_per_image_over_bare_loop": resnet["daemon"].cpu_ms / resnet["bare loop"].cpu_ms,
        "throughput_over_naive": (
            resnet["daemon"].images_per_second / resnet["naive"].images_per_second
        ),
        "throughput_over_naive_instant": (
            instant["daemon"].images_per_second / instant["naive"].images_per_second
        ),
        "throughput_over_naive_instant_late_aws": (
            instant["daemon, late AWS"].images_per_second
            / instant["naive, late AWS"].images_per_second
        ),
        "throughput_over_litserve": (
            resnet["daemon"].images_per_second / resnet["litserve"].images_per_second
        ),
        "auto_precision_speedup": (resnet["bare loop float32"].cpu_ms / resnet["bare loop"].cpu_ms),
        # Of the model that was trained: random weights are sure of nothing.
        "auto_precision_agreement": agreement(
            default["bare loop float32"].labels, default["bare loop"].labels
        ),
    }


def agreement(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of images that both give one label."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def report(costs: dict[str, dict[str, Cost]], arguments: argparse.Namespace) -> None:
    """Print, plot and save."""
    rows = [
        (model, name, f"{cost.cpu_ms:.2f}", f"{cost.images_per_second:.0f}")
        for model, contenders in costs.items()
        for name, cost in contenders.items()
    ]
    show("classifier", ("model", "contender", "CPU ms/image", "images/s"), rows)
    found = ratios(costs)
    for name, value in found.items():
        print(f"{name}: {value:.2f}")
    figures: dict[str, Any] = {
        **found,
        "images": arguments.images,
        "runs": arguments.runs,
        "threads": arguments.threads,
        "costs": {m: {n: figures_of(c) for n, c in some.items()} for m, some in costs.items()},
    }
    print(f"written: {save('classifier', figures)}")
    plot(costs)
    bars = {m: {n: c.stage_ms for n, c in s.items() if c.stage_ms} for m, s in costs.items()}
    stage_times.plot(bars, RESULTS / "classifier-stages.png")


def figures_of(cost: Cost) -> dict[str, Any]:
    """What is written of one contender."""
    return {name: value for name, value in asdict(cost).items() if name != "labels" and value}


def plot(costs: dict[str, dict[str, Cost]]) -> None:
    """Draw CPU per image, a group of bars per model."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(costs), figsize=(4 * len(costs), 3.5))
    for axis, (model, contenders) in zip(axes, costs.items(), strict=True):
        axis.bar(list(contenders), [cost.cpu_ms for cost in contenders.values()])
        axis.set_title(model)
        axis.set_ylabel("CPU ms per image")
        axis.tick_params(axis="x", rotation=60)
    figure.tight_layout()
    figure.savefig(RESULTS / "classifier.png", dpi=100)


if __name__ == "__main__":
    main()
