"""How long a worker takes from exec to READY with its artefact, and what it holds then.

Against the embedded AWS, medians of several starts: seconds by the clock and of the processor, by
phase, and MiB resident. A first start that makes the artefact is not counted.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from bench import workload
from bench.figures import median, save, show
from testkit.aws.embedded import Cloud, cloud
from testkit.classifier.daemon import classifier_daemon, report
from testkit.processes.waiting import wait_until

SETTINGS = "classifier: {report_seconds: 1}\nqueue: {wait_seconds: 2}\n"
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/bench_start.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name, cloud(Path(name)) as aws:
        folder = Path(name)
        models = workload.models(folder)
        figures = {
            f"{model}, {runtime}": started(aws, folder, runtime, models[model], runs)
            for model in ("default", "resnet18")
            for runtime in ("openvino", "torch")
        }
    columns = list(next(iter(figures.values())))
    rows = [[model, *(f"{f[c]:.2f}" for c in columns)] for model, f in figures.items()]
    show("start", ["model", *columns], rows)
    print(f"written: {save('start', figures)}")


def started(
    aws: Cloud, folder: Path, runtime: str, model: dict[str, str], runs: int
) -> dict[str, float]:
    changes = {**model, "VISIONFLEET_MODEL__RUNTIME": runtime, "CACHE_DIRECTORY": str(folder)}
    seen = [_start(aws, folder, changes) for _ in range(runs + 1)][1:]
    return {name: median([one[name] for one in seen]) for name in seen[0]}


def _start(aws: Cloud, folder: Path, changes: dict[str, str]) -> dict[str, float]:
    began = time.time()
    with classifier_daemon(aws, folder, "start", SETTINGS, **changes) as process:
        ready = "boot_seconds"
        wait_until(
            lambda: (r := report(aws, "start")).get(ready) and r["started_at"] > began - 2,
            300,
            process.tail,
        )
        told = report(aws, "start")
        pid = process.popen.pid
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = Path(f"/proc/{pid}/statm").read_text().split()[1]
    seconds = {f"{name}_seconds": value for name, value in told["boot_phases"].items()}
    return {
        "ready_seconds": told[ready],
        "processor_seconds": (int(ticks[11]) + int(ticks[12])) / _TICKS,
        "resident_mib": int(resident) * os.sysconf("SC_PAGE_SIZE") / 2**20,
        **seconds,
    }


if __name__ == "__main__":
    main()
