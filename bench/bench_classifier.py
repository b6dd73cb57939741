"""The classifier against its physical limit, its runtimes, an earlier one, a naive one, LitServe.

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
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import urllib3

from bench import stage_times
from bench.cpu_time import none_left, tree_cpu_seconds
from bench.earlier_commit import BEFORE, unpacked
from bench.figures import RESULTS, flags, median, save, show
from bench.queued_worker import WARM_UP, Cost, through_queue
from bench.workload import models, photos
from testkit.processes.daemons import PYTHONPATH, started
from testkit.processes.ports import accepts, free_port
from testkit.processes.waiting import wait_until

# AWS speaks of tens of milliseconds for SQS (its FAQ) and of 100 to 200 for small objects of S3
# ("Best practices design patterns: optimizing Amazon S3 performance").
LATE_MS = 20
TORCH = {"VISIONFLEET_MODEL__RUNTIME": "torch"}
# The bare loop runs the same artefact in the same threads: it is the limit of its runtime.
FLOAT32 = TORCH | {"VISIONFLEET_MODEL__PRECISION": "float32"}

# Model, one contender, another, and what of each: the first over the second.
RATIOS = {
    "cpu_per_image_over_bare_loop": ("resnet18", "daemon", "bare loop", "cpu_ms"),
    "cpu_per_image_over_torch_worker": ("resnet18", "daemon, samples", "daemon, torch", "cpu_ms"),
    "cpu_per_image_over_torch_worker_without_samples": (
        "resnet18",
        "daemon",
        "daemon, torch",
        "cpu_ms",
    ),
    "images_per_cpu_second_over_litserve": ("resnet18", "litserve", "daemon", "cpu_ms"),
    "instant_cpu_per_image_over_before": ("instant", "daemon", "before", "cpu_ms"),
    "throughput_over_naive": ("resnet18", "daemon", "naive", "images_per_second"),
    "throughput_over_litserve": ("resnet18", "daemon", "litserve", "images_per_second"),
    "throughput_over_naive_instant": ("instant", "daemon", "naive", "images_per_second"),
    "throughput_over_naive_instant_late_aws": (
        "instant",
        "daemon, late AWS",
        "naive, late AWS",
        "images_per_second",
    ),
    "auto_speedup": ("resnet18", "bare loop, torch float32", "bare loop", "cpu_ms"),
}
Contenders = dict[str, Callable[[], Cost]]
Rounds = dict[str, list[Cost]]


def main() -> None:
    """Run everything, print, plot, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; default: made ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--before", default=BEFORE, help="the earlier commit")
    parser.add_argument("--models", nargs="*", default=["instant", "resnet18", "default"])
    parser.add_argument("--without", nargs="*", default=[], help="contenders to leave out")
    arguments = parser.parse_args()
    rounds: dict[str, Rounds] = {}
    with tempfile.TemporaryDirectory(prefix="vf-bench-") as name:
        contenders = prepared(Path(name), arguments)
        for _ in range(arguments.runs):
            one_round(contenders, rounds)
            report(rounds, arguments)


def one_round(contenders: dict[str, Contenders], rounds: dict[str, Rounds]) -> None:
    """Measure each contender on each model, once more: {model: {contender: cost by round}}."""
    for model, some in contenders.items():
        found = rounds.setdefault(model, defaultdict(list))
        for name, measure in some.items():
            found[name].append(measure())
            print(f"  {model}, {name}: {found[name][-1].cpu_ms:.2f} ms", file=sys.stderr)


def prepared(folder: Path, arguments: argparse.Namespace) -> dict[str, Contenders]:
    pictures = photos(arguments.photos, arguments.images)
    files = folder / "photos"
    files.mkdir()
    for number, data in enumerate(pictures):
        (files / f"{number:05d}.jpg").write_bytes(data)
    (folder / "visionfleet.yaml").write_text("log: {level: WARNING}\n")
    before = {"PYTHONPATH": unpacked(arguments.before, folder / "before")}
    found, known = {}, models(folder)
    for model in arguments.models:
        env = {
            **known[model],
            "VISIONFLEET_CONFIG": str(folder / "visionfleet.yaml"),
            "VISIONFLEET_MODEL__THREADS": str(arguments.threads),
            "OMP_NUM_THREADS": str(arguments.threads),
            "CACHE_DIRECTORY": str(folder / "cache"),
        }
        some = contenders_of(model, folder, files, pictures, env, before)
        found[model] = {name: some[name] for name in some if name not in arguments.without}
    return found


def contenders_of(
    model: str,
    folder: Path,
    files: Path,
    pictures: Sequence[bytes],
    env: Mapping[str, str],
    before: Mapping[str, str],
) -> Contenders:
    queued = partial(through_queue, folder=folder, pictures=pictures)
    here = dict(env)
    found: Contenders = {
        "bare loop": partial(bare_loop, files, here),
        "daemon": partial(queued, "daemon", env=here),
        "daemon, torch": partial(queued, "daemon", env=here | TORCH),
    }
    if model == "instant":
        found["before"] = partial(queued, "before", env={**here, **before})
        found["naive"] = partial(queued, "naive", env=here)
        for name in ("daemon", "naive"):
            found[f"{name}, late AWS"] = partial(queued, name, env=here, late_ms=LATE_MS)
        return found
    found["bare loop, torch"] = partial(bare_loop, files, here | TORCH)
    found["bare loop, torch float32"] = partial(bare_loop, files, here | FLOAT32)
    if model == "resnet18":
        # Samples of the user calibrate int8 better than the built-in crops, and are always tried.
        samples = here | {"VISIONFLEET_MODEL__SAMPLES": str(files)}
        found["daemon, samples"] = partial(queued, "daemon", env=samples)
        found["naive"] = partial(queued, "naive", env=here)
        found["litserve"] = partial(litserve, folder, pictures, here)
    return found


def middle(found: Sequence[Cost]) -> Cost:
    """The median of several rounds."""
    each = {s: median([c.stage_ms[s] for c in found]) for s in found[0].stage_ms}
    cpu, rate = [c.cpu_ms for c in found], [c.images_per_second for c in found]
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


def ratios(rounds: dict[str, Rounds]) -> dict[str, float]:
    """The figures that count: ratios within a round, then the median of the rounds."""
    found = {}
    for name, (model, one, other, what) in RATIOS.items():
        some = rounds.get(model, {})
        pairs = list(zip(some.get(one, ()), some.get(other, ()), strict=False))
        if pairs:
            found[name] = median([getattr(a, what) / getattr(b, what) for a, b in pairs])
    if instant := rounds.get("instant"):
        pairs = list(zip(instant["daemon"], instant["bare loop"], strict=True))
        found["instant_ms_besides_bare_loop"] = median([a.cpu_ms - b.cpu_ms for a, b in pairs])
    if default := rounds.get("default"):  # trained: random weights are sure of nothing
        precise = default["bare loop, torch float32"][0].labels
        found["auto_agreement"] = agreement(precise, default["bare loop"][0].labels)
    return found


def agreement(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of images that both give one label."""
    return sum(a == b for a, b in zip(first, second, strict=True)) / len(first)


def report(rounds: dict[str, Rounds], arguments: argparse.Namespace) -> None:
    """Print, plot and save."""
    costs = {m: {n: middle(some) for n, some in found.items()} for m, found in rounds.items()}
    rows = [
        (model, name, f"{cost.cpu_ms:.2f}", f"{cost.images_per_second:.0f}")
        for model, contenders in costs.items()
        for name, cost in contenders.items()
    ]
    show("classifier", ("model", "contender", "CPU ms/image", "images/s"), rows)
    found = ratios(rounds)
    for name, value in found.items():
        print(f"{name}: {value:.2f}")
    figures: dict[str, Any] = {
        **found,
        "images": arguments.images,
        "runs": min(len(some["daemon"]) for some in rounds.values()),
        "threads": arguments.threads,
        "flags": flags(),
        "before": arguments.before,
        "costs": {m: {n: figures_of(c) for n, c in some.items()} for m, some in costs.items()},
        "cpu_ms_by_round": {
            m: {n: [c.cpu_ms for c in some] for n, some in found.items()}
            for m, found in rounds.items()
        },
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

    figure, (axes,) = plt.subplots(1, len(costs), figsize=(4 * len(costs), 3.5), squeeze=False)
    for axis, (model, contenders) in zip(axes, costs.items(), strict=True):
        axis.bar(list(contenders), [cost.cpu_ms for cost in contenders.values()])
        axis.set_title(model)
        axis.set_ylabel("CPU ms per image")
        axis.tick_params(axis="x", rotation=60)
    figure.tight_layout()
    figure.savefig(RESULTS / "classifier.png", dpi=100)


if __name__ == "__main__":
    main()
