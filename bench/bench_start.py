"""How long a daemon takes from exec to READY, and what it holds then.

Against the embedded AWS, by the message that systemd would get: medians of several starts in a warm
page cache, in turn. Bytecode is made by a first start, as by an installation, and so is the model's
artefact. On a machine that others use, --real-time has the daemons that are measured run before the
others. What a start reads of a disk, and how long that takes, measures `bench.cold_start`.
"""

import argparse
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import workload
from bench.figures import median, show, update
from testkit.aws.embedded import Cloud, cloud
from testkit.fleet.supervised import supervised
from testkit.processes.daemons import Process, started_module
from testkit.processes.notify_socket import notify_socket
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon to start; `phases` when it is a worker, which reports them."""

    module: str
    variables: Mapping[str, str]
    phases: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/bench_start.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--real-time", action="store_true", help="before all others; needs root")
    parser.add_argument("--only", nargs="+", help="names of what to start; default: all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, cloud(Path(name)) as aws, supervised({}) as fleet:
        folder = Path(name)
        every = _contenders(folder, str(fleet.socket))
        contenders = {name: every[name] for name in arguments.only or every}
        figures = measured(aws, folder, contenders, arguments)
    columns = ["ready_seconds", "processor_seconds", "resident_mib"]
    rows = [[name, *(f"{f[c]:.2f}" for c in columns)] for name, f in figures.items()]
    show("start", ["daemon", "ready s", "CPU s", "resident MiB"], rows)
    print(f"written: {update('start', {'real_time': arguments.real_time, **figures})}")


def _contenders(folder: Path, supervisor: str) -> dict[str, Daemon]:
    models = workload.models(folder)

    def worker(model: str, runtime: str) -> Daemon:
        chosen = {**models[model], "VISIONFLEET_MODEL__RUNTIME": runtime}
        return Daemon("classifier", chosen, phases=True)

    return {
        "default": worker("default", "openvino"),
        "resnet18": worker("resnet18", "openvino"),
        "default on torch": worker("default", "torch"),
        "resnet18 on torch": worker("resnet18", "torch"),
        "web": Daemon("web", {"VISIONFLEET_WEB__PORT": str(free_port())}),
        "scaler": Daemon(
            "scaler",
            {"VISIONFLEET_SCALER__FLEET": "supervisor"}
            | {"VISIONFLEET_SUPERVISOR__SOCKET": supervisor},
        ),
    }


def measured(
    aws: Cloud,
    folder: Path,
    contenders: Mapping[str, Daemon],
    arguments: argparse.Namespace,
) -> dict[str, dict[str, float]]:
    for daemon in contenders.values():
        with _started(aws, folder, daemon):
            pass
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for _ in range(arguments.runs):
        for name, daemon in contenders.items():
            _schedule(arguments.real_time)
            with _started(aws, folder, daemon) as (process, seconds):
                seen[name].append(_figures(daemon, process, seconds))
                _schedule(False)
    return {
        name: {key: median([one[key] for one in all_]) for key in all_[0]}
        for name, all_ in seen.items()
    }


def _schedule(first: bool) -> None:
    """Have this process, its children and theirs run before all others of the machine, or not."""
    how = os.SCHED_FIFO if first else os.SCHED_OTHER
    own = Path("/proc/self/task").glob("*/children")
    children = {pid for file in own for pid in file.read_text().split()}
    for pid in ("self", *children):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setscheduler(int(task.name), how, os.sched_param(int(first)))


@contextmanager
def _started(aws: Cloud, folder: Path, daemon: Daemon) -> Iterator[tuple[Process, float]]:
    """Start a daemon and wait until it is ready; how many seconds that took."""
    config = folder / "visionfleet.yaml"
    config.write_text("queue: {wait_seconds: 2}\n")
    with notify_socket() as systemd:
        environment = {
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "CACHE_DIRECTORY": str(folder),
            "NOTIFY_SOCKET": systemd.address,
            "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
            "PYTHONDONTWRITEBYTECODE": "",
        }
        options = ("--worker", "start") if daemon.module == "classifier" else ()
        began = time.monotonic()
        with started_module(
            f"visionfleetd.{daemon.module}.main",
            *("--config", str(config), *options),
            log=folder / f"{daemon.module}.log",
            env={**environment, **aws.environment, **daemon.variables},
            stop_seconds=30,
        ) as process:
            wait_until(lambda: systemd.count("READY=1"), 300, process.tail, 0.005)
            yield process, time.monotonic() - began


def _figures(daemon: Daemon, process: Process, seconds: float) -> dict[str, float]:
    ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    line = next(line for line in process.output().splitlines()[::-1] if ": ready " in line)
    phases = dict(re.findall(r"(\w+)_seconds=([0-9.]+)", line)) if daemon.phases else {}
    return {
        "ready_seconds": seconds,
        "processor_seconds": (int(ticks[11]) + int(ticks[12])) / _TICKS,
        "resident_mib": pages * _PAGE / 2**20,
        **{f"{name}_seconds": float(value) for name, value in phases.items()},
    }


if __name__ == "__main__":
    main()
