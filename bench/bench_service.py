"""How much of the model's own pace comes through the whole local service, and what takes the rest.

In turn, on the same cores: the default model alone, from decoded pixels in batches; and photos of
about 100 KB uploaded over HTTP to what `make run` starts (web, scaler, a worker for each core,
embedded AWS), --clients at a time. Of each image's CPU time it is told which part used it, so the
limit is known: the cores over what all parts take, the stand-in for AWS and the clients included.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import urllib3

from bench.bench_classifier import bare_loop
from bench.figures import flags, median, save, show
from bench.workload import photos
from testkit.processes.stack import Stack, stack
from testkit.processes.waiting import wait_until

WARM_UP = 100
# By what stands in the command line of a process; a worker's children decode.
PARTS = {
    "visionfleet-web": "web",
    "visionfleet-classifier": "workers",
    "visionfleetd.classifier": "workers",
    "visionfleet-scaler": "scaler",
    "embedded-aws": "embedded AWS",
}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """Images a second, of the model alone and of the service, and CPU milliseconds by part."""

    alone: float
    service: float
    cpu_ms: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/bench_service.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--photos", type=Path, help="folder of JPEGs; default: made ones")
    arguments = parser.parse_args()
    pictures = photos(arguments.photos, arguments.images)
    rounds = []
    with tempfile.TemporaryDirectory(prefix="vf-bench-") as name:
        for number in range(arguments.runs):
            rounds.append(one_round(Path(name), pictures, arguments.clients))
            print(f"  run {number + 1}: {rounds[-1]}", file=sys.stderr)
    report(rounds, arguments)


def one_round(folder: Path, pictures: Sequence[bytes], clients: int) -> Round:
    files = folder / "photos"
    files.mkdir(exist_ok=True)
    for number, data in enumerate(pictures):
        (files / f"{number:05d}.jpg").write_bytes(data)
    cores = len(os.sched_getaffinity(0))
    here = {"VISIONFLEET_MODEL__THREADS": str(cores), "VISIONFLEET_CONFIG": os.devnull}
    alone = 1000 / bare_loop(files, here).stage_ms["infer"]
    with stack({"VISIONFLEET_SCALER__MINIMUM": str(cores)}) as running:
        wait_until(lambda: running.get("/v1/fleet")["states"].get("idle", 0) >= cores, 120)
        return through(running, alone, pictures, clients)


def through(running: Stack, alone: float, pictures: Sequence[bytes], clients: int) -> Round:
    """Upload all, and tell whose CPU time went into it."""
    pool = urllib3.PoolManager(maxsize=clients, block=True, retries=False)
    url = running.url + "/v1/classify?wait=60"

    def upload(data: bytes) -> None:
        answer = pool.request("POST", url, body=data, headers={"Content-Type": "image/jpeg"})
        assert answer.status == 200, answer.data

    with ThreadPoolExecutor(clients) as people:
        list(people.map(upload, pictures[:WARM_UP]))
        before, began = cpu_seconds(running), time.perf_counter()
        list(people.map(upload, pictures))
        wall = time.perf_counter() - began
        spent = {part: now - before[part] for part, now in cpu_seconds(running).items()}
    count = len(pictures)
    return Round(alone, count / wall, {part: 1000 * cpu / count for part, cpu in spent.items()})


def cpu_seconds(running: Stack) -> dict[str, float]:
    """CPU time so far of each part of the service, and of the clients, which are this process."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    found = defaultdict(float, clients=own.ru_utime + own.ru_stime)
    for pid, command in running.commands().items():
        part = next((part for name, part in PARTS.items() if name in command), "other")
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        found[part] += (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def report(rounds: Sequence[Round], arguments: argparse.Namespace) -> None:
    cores = len(os.sched_getaffinity(0))
    parts = {part for one in rounds for part in one.cpu_ms}
    cpu = {part: median([one.cpu_ms.get(part, 0.0) for one in rounds]) for part in sorted(parts)}
    own = sum(cpu.get(part, 0.0) for part in ("web", "workers", "scaler"))
    figures = {
        "alone_images_per_second": median([one.alone for one in rounds]),
        "service_images_per_second": median([one.service for one in rounds]),
        "service_over_alone": median([one.service / one.alone for one in rounds]),
        # What the cores could do, busy all the time: with all that runs here, and where AWS and
        # the clients have machines of their own.
        "limit_images_per_second": 1000 * cores / sum(cpu.values()),
        "limit_without_aws_and_clients": 1000 * cores / own,
    }
    show(
        "service", ["figure", "value"], [[name, f"{value:.2f}"] for name, value in figures.items()]
    )
    show("CPU", ["part", "ms per image"], [[part, f"{ms:.2f}"] for part, ms in cpu.items()])
    how = {"images": arguments.images, "clients": arguments.clients, "runs": arguments.runs}
    machine = {"flags": flags(), "cores": cores}
    print(f"written: {save('service', {**machine, **how, **figures, 'cpu_ms': cpu})}")


if __name__ == "__main__":
    main()
