"""The real service against the simulator, on 20 minutes of each trace.

`python -m bench.bench_scaler_real [TRACE.csv ...]` runs web, scaler and up to eight classifiers
under supervisor for each trace, all at once, against an embedded AWS that answers 20 ms late. The
classifiers serve the default model, and take 0.8 s for each image, most of which they sleep: eight
of them need no eight cores. The simulator replays the same arrivals of each second.
"""

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

import requests

from bench.bench_scaling import TRACES
from bench.figures import save, show
from testkit.aws.embedded import CREDENTIALS, Cloud, cloud
from testkit.fleet.scaler_daemon import scaler_daemon
from testkit.fleet.supervised import Supervised, supervised
from testkit.processes.daemons import started_module
from testkit.processes.waiting import wait_until
from testkit.web.daemon import web_daemon
from visionfleet.config import Config
from visionfleet.local.sample_images import sample_images, shipped_photos
from visionfleet.scaler.decision import Policy
from visionfleet.simulation import trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.world import World

MAXIMUM, BUSIEST = 8, 6  # workers, and those that are busy in the busiest minute
SERVICE_SECONDS = 0.8
CALL_MS = 20
REPORT_SECONDS = 10
SETTINGS = f"""
model: {{threads: 1}}
classifier: {{report_seconds: {REPORT_SECONDS}}}
scaler: {{fleet: supervisor, maximum: {MAXIMUM}}}
"""
CALM_SECONDS = 600.0  # for what is left after the last arrival


@dataclass(frozen=True)
class Row:
    trace: str
    images: int
    worker_seconds: float
    simulated_worker_seconds: float
    worker_seconds_over_simulated: float
    p95_wait_seconds: float
    simulated_p95_wait_seconds: float
    peak_workers: int
    simulated_peak_workers: int
    boot_seconds: float


@dataclass(frozen=True)
class Served:
    """What the real service did with the arrivals."""

    worker_seconds: float
    waits: list[float]
    peak: int
    boot_seconds: float


def excerpt(path: Path, minutes: int) -> list[int]:
    """Arrivals of those minutes of a trace's second half in which its counts differ most."""
    with path.open() as lines:
        counts = trace.read(lines)
    half = counts[len(counts) // 2 :]
    windows = [half[at : at + minutes] for at in range(len(half) - minutes)]
    chosen = max(windows, key=lambda window: max(window) - min(window))
    factor = BUSIEST * trace.SECONDS_PER_MINUTE / SERVICE_SECONDS / max(chosen)
    return trace.arrivals(chosen, factor, Random(1))


def world(boot_seconds: float) -> World:
    conditions = Conditions(
        service_seconds=SERVICE_SECONDS,
        call_seconds=CALL_MS / 1000,
        boot_seconds=boot_seconds,
        lag_seconds=0,  # of an embedded AWS, whose counts are right
        noise=0.0,
        phantoms=0.0,
        report_seconds=REPORT_SECONDS,
        minimum_billed_seconds=1,
    )
    config = Config.model_validate({"scaler": {"fleet": "supervisor", "maximum": MAXIMUM}})
    return World(conditions, controller("pace", Policy.of(config, MAXIMUM)))


class Watch:
    """Counts workers that run, four times a second."""

    def __init__(self, workers: Supervised) -> None:
        self._workers = workers
        self._over = threading.Event()
        self.seconds, self.peak = 0.0, 0

    def run(self) -> None:
        before = time.monotonic()
        while not self._over.wait(0.25):
            running, now = len(self._workers.pids()), time.monotonic()
            self.seconds += running * (now - before)
            self.peak, before = max(self.peak, running), now

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()


def served(arrivals: Sequence[int]) -> Served:
    """Send the arrivals to a service of our own, and wait for the last result."""
    with tempfile.TemporaryDirectory(prefix="vf-real-") as name, ExitStack() as stack:
        folder, late = Path(name), {"LATE_MS": str(CALL_MS)}
        late_aws = cloud(folder, environment=late, module="bench.late_aws")
        aws = stack.enter_context(late_aws)
        config = folder / "real.yaml"
        config.write_text(SETTINGS)
        environment = {**CREDENTIALS, **aws.environment}
        build_model(config, folder, environment)
        worker = f"-m bench.sleeping_worker --config {config}"
        command = f"{sys.executable} {worker} --worker %(program_name)s_%(process_num)02d"
        workers = stack.enter_context(supervised(environment, SERVICE_SECONDS, command))
        web = stack.enter_context(web_daemon(aws, folder))
        scaler = scaler_daemon(aws, workers, folder, settings=SETTINGS)
        stack.enter_context(scaler).wait_for_output("acting", 60)
        with Watch(workers).watching() as watch:
            accepted = uploaded(web.url, arrivals)
            end = time.monotonic() + CALM_SECONDS
            while len(aws.keys("results/")) < len(accepted) and time.monotonic() < end:
                time.sleep(0.5)
        results = {job: aws.result(job) or {} for job in accepted}
        waits = [results[job]["finished_at"] - at for job, at in accepted.items()]
        return Served(watch.seconds, waits, watch.peak, boot_seconds(aws))


def build_model(config: Path, folder: Path, environment: dict[str, str]) -> None:
    """Have the artefact made before anything is measured, as a bake does."""
    once = ("--config", str(config), "--once")
    module = "visionfleetd.classifier.main"
    with started_module(module, *once, log=folder / "once.log", env=environment) as process:
        wait_until(lambda: not process.running, 300, process.tail)


def uploaded(url: str, arrivals: Sequence[int]) -> dict[str, float]:
    """Upload an image for each arrival, earlier ones answered or not; gives jobs and times."""
    images = [data for _, data in sample_images(shipped_photos(), 40, 1)]
    begun = time.monotonic()
    accepted: dict[str, float] = {}

    def upload(number: int) -> None:
        image = images[number % len(images)]
        answer = requests.post(f"{url}/v1/jobs", data=image, timeout=60)
        accepted[answer.json()["job"]] = time.time()

    with ThreadPoolExecutor(32) as pool:
        moments = [s + i / count for s, count in enumerate(arrivals) for i in range(count)]
        for number, moment in enumerate(moments):
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            pool.submit(upload, number)
    time.sleep(max(0.0, begun + len(arrivals) - time.monotonic()))
    assert len(accepted) == len(moments), "all were accepted"
    return accepted


def boot_seconds(aws: Cloud) -> float:
    """Tell how long the workers of the end took from their start until they were ready."""
    reports = [json.loads(aws.object(key) or b"{}") for key in aws.keys("fleet/workers/")]
    return statistics.mean([float(found["boot_seconds"]) for found in reports if found])


def one_row(minutes: int, path: Path) -> Row:
    arrivals = excerpt(path, minutes)
    real = served(arrivals)
    outcome = world(real.boot_seconds).run(arrivals)
    in_service = statistics.quantiles(real.waits, n=20)[-1] - SERVICE_SECONDS
    expected = outcome.billed_hours * 3600
    return Row(
        trace=path.stem,
        images=len(real.waits),
        worker_seconds=round(real.worker_seconds),
        simulated_worker_seconds=round(expected),
        worker_seconds_over_simulated=round(real.worker_seconds / expected, 3),
        p95_wait_seconds=round(max(0.0, in_service), 1),
        simulated_p95_wait_seconds=outcome.wait_quantile(0.95),
        peak_workers=real.peak,
        simulated_peak_workers=outcome.peak_workers,
        boot_seconds=round(real.boot_seconds, 2),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("traces", nargs="*", type=Path, help="CSV files with minute,count")
    parser.add_argument("--minutes", type=int, default=20)
    arguments = parser.parse_args()
    paths = arguments.traces or sorted(TRACES.glob("*.csv"))
    with ProcessPoolExecutor(len(paths)) as pool:
        rows = list(pool.map(partial(one_row, arguments.minutes), paths))
    cells = [tuple(map(str, asdict(row).values())) for row in rows]
    show("the real service and the simulator", tuple(asdict(rows[0])), cells)
    conditions = {"minutes": arguments.minutes, "call_ms": CALL_MS}
    conditions |= {"service_seconds": SERVICE_SECONDS}
    figures = {**conditions, "traces": {row.trace: asdict(row) for row in rows}}
    print(f"written: {save('scaler-real', figures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
