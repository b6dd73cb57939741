"""Chaos: the service under kills, stops, frozen processes, clock steps and faults of AWS.

`make bench-chaos`, or `python -m bench.bench_chaos --jobs 2000 --seeds 1 2 3`. Clients upload over
HTTP, a third of them under idempotency keys, and try again whenever they get no answer. Web
daemons, workers and two scalers reach the embedded AWS by a proxy that cuts answers off at any
byte, loses them after the call was done, refuses, delays, delivers messages twice and after their
end, does not delete what it says it has deleted, lets a part of a batch fail, and is out for
seconds. The number of deliveries after which a job is given up is raised to 1000, so that kills do
not use it up.

Every accepted job must end in one result with its own label, no daemon may end by itself, and a
scaler must tell of the fleet after all that. Exit status 1 when that was broken.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import flags, machine
from testkit.chaos.plan import CLOCK, FREEZE, KILL, OUTAGE, STOP, Outcome, Plan
from testkit.chaos.run import run

KINDS = ("blows", "clients", "faults", "by_runtime")  # counted by kind
RESULTS = Path(__file__).parent / "results" / "chaos.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chaos once per seed, print each outcome, and keep the figures."""
    arguments = parse(argv)
    outcomes: dict[int, Outcome] = {}
    where = tested()
    with ProcessPoolExecutor(arguments.at_once) as pool:
        found = pool.map(partial(one_seed, arguments), arguments.seeds)
        for seed, outcome in zip(arguments.seeds, found, strict=True):
            outcomes[seed] = outcome
            Console().print(table(seed, outcome))
            for text in (*outcome.unexpected_ends, *outcome.surprises):
                Console().print(text, highlight=False, markup=False)
            arguments.save.write_text(json.dumps(where | document(outcomes), indent=2) + "\n")
    return 0 if all(outcome.kept() for outcome in outcomes.values()) else 1


def one_seed(arguments: argparse.Namespace, seed: int) -> Outcome:
    """Run the chaos of one seed, and say how it goes."""
    folder = Path(tempfile.mkdtemp(prefix=f"visionfleet-chaos-{seed}-"))

    def say(text: str) -> None:
        print(f"seed {seed}: {text}", file=sys.stderr, flush=True)

    say(f"logs in {folder}")
    return run(planned(arguments, seed), folder, say)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench/bench_chaos.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--jobs", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=30, help="kill -9s; default: %(default)s")
    parser.add_argument("--workers", type=int, default=4, help="default: %(default)s")
    runtimes = ["torch", "openvino"]
    parser.add_argument("--runtimes", nargs="+", default=runtimes, help="of the workers, in turn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument("--at-once", type=int, default=1, help="seeds; default: %(default)s")
    parser.add_argument("--save", type=Path, default=RESULTS, help="default: %(default)s")
    return parser.parse_args(argv)


def planned(arguments: argparse.Namespace, seed: int) -> Plan:
    """Kills, and a third as many of most other blows."""
    kills = arguments.kills
    others = {STOP: kills // 3, FREEZE: kills // 3, OUTAGE: kills // 10, CLOCK: kills // 5}
    blows = {KILL: kills, **others}
    workers, runtimes = arguments.workers, arguments.runtimes
    return Plan(arguments.jobs, seed, blows, workers=workers, runtimes=runtimes)


def table(seed: int, outcome: Outcome) -> Table:
    """Lay the outcome out for a person."""
    kept = "kept" if outcome.kept() else "BROKEN"
    made = Table("what", "count", title=f"seed {seed}: {kept}")
    for name, value in figures(outcome).items():
        rows = value if isinstance(value, dict) else {}
        made.add_row(name.replace("_", " "), "" if rows else str(value))
        for kind, count in rows.items():
            made.add_row(f"  {kind}", str(count))
    return made


def figures(outcome: Outcome) -> dict[str, object]:
    """Write an outcome as plain values: how many daemons ended, not what they said last."""
    told = asdict(outcome)
    counts = {name: len(told[name]) for name in ("unexpected_ends", "surprises")}
    sorts = {name: dict(sorted(told[name].items())) for name in KINDS}
    return {**told, **counts, **sorts, "seconds": round(outcome.seconds, 1)}


def document(outcomes: Mapping[int, Outcome]) -> dict[str, object]:
    """Write down what came of each seed."""
    return {"seeds": [{"seed": seed, **figures(each)} for seed, each in outcomes.items()]}


def tested() -> dict[str, object]:
    """Tell what is run where; asked at the start, for a run takes its time."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True, cwd=RESULTS.parent)
    return {
        "machine": machine(),
        "flags": flags(),
        "commit": commit.stdout.strip(),
        "command": shlex.join(["python", "-m", "bench.bench_chaos", *sys.argv[1:]]),
    }


if __name__ == "__main__":
    sys.exit(main())
