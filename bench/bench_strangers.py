"""Strangers: what hundreds of hostile clients without a key take from those who have one.

`python -m bench.bench_strangers` lets each kind of them come while clients with a key upload, half
of them on a connection for each request. `max_waiting` is 100. Then the kinds that send bodies
come to a service that asks for no key: there only memory and stalls of the loop are told.
"""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.cpu_time import tree_cpu_seconds
from bench.figures import save, show
from testkit.aws.embedded import CREDENTIALS, Cloud, cloud
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started_module
from testkit.processes.ports import free_port
from testkit.web.strangers import KINDS, strangers
from visionfleet.auth import api_keys, key_file

IMAGE = encoded(numbered(0))
CLIENTS = 4
MAX_WAITING = 100
BODIES = [
    kind
    for kind in KINDS
    if any(word in kind for word in ("bod", "chunk", "form", "JSON", "tensor"))
]


@dataclass(frozen=True)
class Row:
    """Milliseconds; `refused` are answers with 503, `failed` all others that are not 200."""

    kind: str
    keys: bool
    quiet_p50_ms: float
    quiet_p99_ms: float
    requests: int
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float
    stall_ms: float
    stall_work_ms: float
    peak_mib: float
    cpu_percent: float


@dataclass(frozen=True)
class Served:
    """A web daemon that runs."""

    process: Process
    port: int
    key: str
    stalls: Path
    keys: bool


@dataclass
class Good:
    """Clients with a key."""

    port: int
    key: str
    over: threading.Event = field(default_factory=threading.Event)
    milliseconds: list[float] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)

    def run(self, keeps: bool) -> None:
        connection = self._connect()
        while not self.over.is_set():
            started = time.monotonic()
            try:
                connection.request(
                    "POST",
                    "/v1/classify?wait=25",
                    IMAGE,
                    {"X-API-Key": self.key, "Content-Type": "image/png"},
                )
                answer = connection.getresponse()
                answer.read()
                self.statuses.append(str(answer.status))
            except (OSError, http.client.HTTPException) as error:
                self.statuses.append(repr(error))
                connection.close()
            self.milliseconds.append(1000 * (time.monotonic() - started))
            if not keeps:
                connection.close()
            self.over.wait(0.05)

    def percentile(self, percent: int) -> float:
        return round(statistics.quantiles(self.milliseconds, n=100)[percent - 1], 1)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--services", nargs="*", default=["keys", "none"])
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="vf-strangers-") as name:
        folder = Path(name)
        with cloud(folder) as aws:
            argv = ("testkit.classifier.instant_worker", aws.endpoint_url, "2")
            with started_module(*argv, log=folder / "worker.log") as worker:
                worker.wait_for_output("ready", 30)
                for service in arguments.services:
                    rows += measured(aws, folder, service == "keys", arguments)
    report(rows, arguments)
    return 0


def measured(aws: Cloud, folder: Path, keys: bool, arguments: argparse.Namespace) -> list[Row]:
    known = [kind for kind in arguments.kinds if keys or kind in BODIES]
    rows = []
    for kinds in (*([kind] for kind in known), known):
        with web(aws, folder, keys) as served:
            rows.append(one_row(served, kinds, arguments, folder))
            print(rows[-1], file=sys.stderr)
    return rows


def one_row(served: Served, kinds: list[str], arguments: argparse.Namespace, folder: Path) -> Row:
    """Measure without strangers, and with them."""
    quiet, crowded = Good(served.port, served.key), Good(served.port, served.key)
    load(quiet, arguments.seconds)
    since = time.time()
    with strangers(served.port, arguments.count, kinds, folder):
        before = tree_cpu_seconds(served.process.pid)
        load(crowded, arguments.seconds)
        worked = tree_cpu_seconds(served.process.pid) - before
    wall, work = worst(served.stalls, since)
    return Row(
        kind=kinds[0] if len(kinds) == 1 else "all of them",
        keys=served.keys,
        quiet_p50_ms=quiet.percentile(50),
        quiet_p99_ms=quiet.percentile(99),
        requests=len(crowded.statuses),
        refused=crowded.statuses.count("503"),
        failed=len([one for one in crowded.statuses if one not in ("200", "503")]),
        p50_ms=crowded.percentile(50),
        p99_ms=crowded.percentile(99),
        stall_ms=wall,
        stall_work_ms=work,
        peak_mib=peak_mib(served.process.pid),
        cpu_percent=round(100 * worked / arguments.seconds, 1),
    )


def load(good: Good, seconds: float) -> None:
    clients = [
        threading.Thread(target=good.run, args=(number % 2 == 0,)) for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    time.sleep(seconds)
    good.over.set()
    for client in clients:
        client.join()


def worst(stalls: Path, since: float) -> tuple[float, float]:
    lines = [[float(one) for one in line.split()] for line in stalls.read_text().splitlines()]
    late = [line for line in lines if line[0] >= since] or [[0.0, 0.0, 0.0]]
    return max(line[1] for line in late), max(line[2] for line in late)


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


@contextmanager
def web(aws: Cloud, folder: Path, keys: bool) -> Iterator[Served]:
    port, key_path = free_port(), folder / "keys"
    stalls = folder / f"stalls-{port}"
    key, kept = api_keys.make("good", bytes(range(53)), time.time(), None)
    with key_file.edit(key_path) as found:
        found[kept.id] = kept
    (folder / "visionfleet.yaml").write_text("queue: {wait_seconds: 5}\n")
    env = {
        **CREDENTIALS,
        **aws.environment,
        "VISIONFLEET_WEB__PORT": str(port),
        "VISIONFLEET_WEB__MAX_WAITING": str(MAX_WAITING),
    }
    env |= (
        {"VISIONFLEET_WEB__KEYS_FILE": str(key_path)} if keys else {"VISIONFLEET_WEB__AUTH": "none"}
    )
    argv = (str(stalls), "--config", str(folder / "visionfleet.yaml"))
    with started_module(
        "bench.probed_web", *argv, log=folder / f"web-{port}.log", env=env, stop_seconds=30
    ) as process:
        process.wait_for_output("web: ready", 30)
        yield Served(process, port, key, stalls, keys)


def report(rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    columns = tuple(asdict(rows[0]))
    show(
        "strangers", columns, [tuple(str(value) for value in asdict(row).values()) for row in rows]
    )
    figures = {
        "seconds": arguments.seconds,
        "count": arguments.count,
        "max_waiting": MAX_WAITING,
        "load_average": os.getloadavg(),
        "rows": [asdict(row) for row in rows],
    }
    print(f"written: {save('strangers', figures)}")


if __name__ == "__main__":
    sys.exit(main())
