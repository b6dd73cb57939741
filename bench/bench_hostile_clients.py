"""What hundreds of hostile clients without a key take from those who have one.

`python -m bench.bench_hostile_clients` lets each kind of them come while clients with a key upload,
half of them on a connection for each request, in rounds: without them, with them, and again.
`max_waiting` is 100. Then the kinds that send bodies come to a service that asks for no key: there
only memory and stalls of the loop are told.

They and the service share the machine, so a daemon that has work waits for AWS's stand-in, and
both for them. These run at the lowest priority, as their processors are elsewhere. With
`--elsewhere` each kind comes a second time, to a decoy: what it takes then, it takes by sharing the
machine, and not by anything that the service does.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path

from bench.cpu_time import tree_cpu_seconds
from bench.figures import median, save, show
from bench.keyed_clients import KeyedClients, Uploads
from testkit.aws.embedded import CREDENTIALS, Cloud, cloud
from testkit.processes.daemons import Process, started_module
from testkit.processes.memory import resident_mib
from testkit.processes.ports import free_port
from testkit.web.hostile_clients import KINDS, hostile_clients
from visionfleet.auth import api_keys, key_file

MAX_WAITING = 100
# Before the first round, and before each: what hostile clients have left behind is over.
WARM_SECONDS = 2.0
SETTLE_SECONDS = 1.0
BODIES = [
    kind
    for kind in KINDS
    if any(word in kind for word in ("bod", "chunk", "form", "JSON", "tensor"))
]


@dataclass(frozen=True)
class Row:
    """Milliseconds are medians of rounds; `refused` are answers with 503, `failed` all others that
    are not 200. Work is what the event loop worked between an upload and its answer, stalls and
    memory are the worst of all rounds, the CPU is that of hostile ones.
    """

    kind: str
    keys: bool
    elsewhere: bool
    quiet_p50_ms: float
    quiet_p99_ms: float
    requests: int
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float
    p99_ratio: float
    quiet_work_p99_ms: float
    work_p99_ms: float
    quiet_p99_rounds_ms: Sequence[float]
    p99_rounds_ms: Sequence[float]
    stall_ms: float
    stall_work_ms: float
    peak_mib: float
    cpu_percent: float


@dataclass
class Rounds:
    """What was seen, without hostile clients and with them."""

    quiet: list[Uploads] = field(default_factory=list)
    hostile: list[Uploads] = field(default_factory=list)
    hostile_cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Served:
    """A web daemon that runs."""

    process: Process
    port: int
    key: str
    stalls: Path
    keys: bool
    attacked_port: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="of each half of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--services", nargs="*", default=["keys", "none"])
    parser.add_argument("--elsewhere", action="store_true", help="meet a decoy too")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="vf-hostile-") as name:
        folder = Path(name)
        with KeyedClients() as clients, cloud(folder) as aws:
            argv = ("testkit.classifier.instant_worker", aws.endpoint_url, "2")
            with started_module(*argv, log=folder / "worker.log") as worker:
                worker.wait_for_output("ready", 30)
                for service in arguments.services:
                    rows += measured(aws, folder, service == "keys", clients, arguments)
    report(rows, arguments)
    return 0


def measured(
    aws: Cloud, folder: Path, keys: bool, clients: KeyedClients, arguments: argparse.Namespace
) -> list[Row]:
    known = [kind for kind in arguments.kinds if keys or kind in BODIES]
    rows = []
    groups = (*([kind] for kind in known), *([known] if len(known) > 1 else []))
    places = (False, True) if arguments.elsewhere else (False,)
    for kinds, elsewhere in product(groups, places):
        with web(aws, folder, keys) as made, decoy(made, elsewhere, folder) as served:
            since, rounds = time.time(), Rounds()
            clients.upload(served.port, served.key, WARM_SECONDS, served.process.pid)
            for _ in range(arguments.rounds):
                add_round(rounds, served, kinds, clients, arguments, folder)
            rows.append(row(kinds, served, rounds, since, arguments.rounds * arguments.seconds))
            print(rows[-1], file=sys.stderr)
    return rows


def add_round(
    rounds: Rounds,
    served: Served,
    kinds: list[str],
    clients: KeyedClients,
    arguments: argparse.Namespace,
    folder: Path,
) -> None:
    """Measure without hostile clients, and with them from their first moment."""
    seconds, pid = arguments.seconds, served.process.pid
    time.sleep(SETTLE_SECONDS)
    rounds.quiet.append(clients.upload(served.port, served.key, seconds, pid))
    with hostile_clients(served.attacked_port, arguments.count, kinds, folder):
        before = tree_cpu_seconds(pid)
        rounds.hostile.append(clients.upload(served.port, served.key, seconds, pid))
        rounds.hostile_cpu_seconds += tree_cpu_seconds(pid) - before


def row(kinds: list[str], served: Served, rounds: Rounds, since: float, seconds: float) -> Row:
    statuses = [status for one in rounds.hostile for status in one.statuses]
    quiet_p99, p99 = in_rounds(rounds.quiet, 99), in_rounds(rounds.hostile, 99)
    wall, work = worst(served.stalls, since)
    return Row(
        kind=kinds[0] if len(kinds) == 1 else "all of them",
        keys=served.keys,
        elsewhere=served.attacked_port != served.port,
        quiet_p50_ms=median(in_rounds(rounds.quiet, 50)),
        quiet_p99_ms=median(quiet_p99),
        requests=len(statuses),
        refused=statuses.count("503"),
        failed=len([one for one in statuses if one not in ("200", "503")]),
        p50_ms=median(in_rounds(rounds.hostile, 50)),
        p99_ms=median(p99),
        p99_ratio=round(median(p99) / median(quiet_p99), 2),
        quiet_work_p99_ms=work_p99(rounds.quiet),
        work_p99_ms=work_p99(rounds.hostile),
        quiet_p99_rounds_ms=quiet_p99,
        p99_rounds_ms=p99,
        stall_ms=wall,
        stall_work_ms=work,
        peak_mib=round(resident_mib(served.process.pid, peak=True), 1),
        cpu_percent=round(100 * rounds.hostile_cpu_seconds / seconds, 1),
    )


def in_rounds(rounds: Sequence[Uploads], percent: int) -> list[float]:
    return [round(one.percentile(percent), 1) for one in rounds]


def work_p99(rounds: Sequence[Uploads]) -> float:
    return median([round(one.work_percentile(99), 1) for one in rounds])


def worst(stalls: Path, since: float) -> tuple[float, float]:
    lines = [[float(one) for one in line.split()] for line in stalls.read_text().splitlines()]
    late = [line for line in lines if line[0] >= since] or [[0.0, 0.0, 0.0]]
    return max(line[1] for line in late), max(line[2] for line in late)


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
        yield Served(process, port, key, stalls, keys, port)


@contextmanager
def decoy(served: Served, elsewhere: bool, folder: Path) -> Iterator[Served]:
    """Lead hostile clients elsewhere if so told."""
    if not elsewhere:
        yield served
        return
    port = free_port()
    with started_module("bench.decoy", str(port), log=folder / f"decoy-{port}.log") as process:
        process.wait_for_output("ready", 30)
        yield replace(served, attacked_port=port)


def report(rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    columns = tuple(asdict(rows[0]))
    show(
        "hostile_clients",
        columns,
        [tuple(str(value) for value in asdict(row).values()) for row in rows],
    )
    figures = {
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "count": arguments.count,
        "max_waiting": MAX_WAITING,
        "load_average": os.getloadavg(),
        "rows": [asdict(row) for row in rows],
    }
    print(f"written: {save('hostile_clients', figures)}")


if __name__ == "__main__":
    sys.exit(main())
