"""Chaos: real classifiers under kill -9, TERM, AWS faults and outages; is any job lost?

`make bench-chaos`, or `python -m bench.bench_chaos --jobs 2000 --kills 30`. Workers run against the
embedded AWS through a proxy that resets connections before and after the call, answers 500 and 503,
delays, and is out for seconds. Every job must end in exactly one result with the right label. The
number of deliveries after which a job is given up is raised to 1000, so that kills do not use it
up: no failed result is expected either. Exit status 1 when the promise was broken.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from testkit.classifier.chaos import run
from testkit.classifier.chaos_plan import Outcome, Plan

RESULTS = Path(__file__).parent / "results" / "chaos.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the storm, print what came of it, and keep the figures."""
    arguments = parse(argv)
    plan = Plan(
        jobs=arguments.jobs,
        kills=arguments.kills,
        terms=arguments.kills // 3,
        outages=arguments.kills // 10,
        workers=arguments.workers,
        seed=arguments.seed,
    )
    console = Console(stderr=True)
    folder = Path(tempfile.mkdtemp(prefix="visionfleet-chaos-"))
    console.print(f"logs: {folder}")
    verdict = run(plan, folder, lambda text: console.print(text, highlight=False))
    Console().print(table(verdict))
    for end in verdict.unexpected_ends:
        console.print(end, highlight=False, markup=False)
    if arguments.save:
        arguments.save.write_text(json.dumps(document(plan, verdict), indent=2) + "\n")
    return 0 if verdict.kept() else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench/bench_chaos.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--jobs", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--kills", type=int, default=30, help="kill -9s; default: %(default)s")
    parser.add_argument("--workers", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--save", type=Path, default=RESULTS, help="default: %(default)s")
    return parser.parse_args(argv)


def table(verdict: Outcome) -> Table:
    """Lay the verdict out for a person."""
    made = Table("what", "count", title="kept" if verdict.kept() else "BROKEN")
    rows: dict[str, object] = {
        "jobs": verdict.jobs,
        "results": verdict.results,
        "  with the right label": verdict.jobs - verdict.wrong,
        "  failed": verdict.failed,
        "jobs lost": verdict.lost,
        "images fetched again": verdict.begun - verdict.jobs,
        "results computed again (duplicates)": verdict.duplicates,
        "most deliveries of one job": verdict.most_attempts,
        "requests left, dead letters": f"{verdict.requests_left}, {verdict.dead_letters}",
        "kill -9, TERM, outages": f"{verdict.kills}, {verdict.terms}, {verdict.outages}",
        "workers that ended by themselves": len(verdict.unexpected_ends),
        "calls to AWS": verdict.calls,
        **{f"  {kind}": count for kind, count in sorted(verdict.faults.items())},
        "seconds": round(verdict.seconds),
    }
    for name, value in rows.items():
        made.add_row(name, str(value))
    return made


def document(plan: Plan, verdict: Outcome) -> dict[str, object]:
    """Write plan and verdict as plain values."""
    machine = f"{os.cpu_count()} x {processor()}, Python {platform.python_version()}"
    figures = asdict(verdict) | {"duplicates": verdict.duplicates, "kept": verdict.kept()}
    shape = {"seed": plan.seed, "workers": plan.workers, "max_receives": plan.max_receives}
    return {"machine": machine, **shape, **figures, "seconds": round(verdict.seconds, 1)}


def processor() -> str:
    """Name the processor as Linux does."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
