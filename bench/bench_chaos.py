"""Chaos: real classifiers under kill -9, TERM, AWS faults and outages; is any job lost?

`make bench-chaos`, or `python -m bench.bench_chaos --jobs 2000 --kills 30`. Workers run against the
embedded AWS through a proxy that resets connections before and after the call, answers 500 and 503,
delays, and is out for seconds. Every job must end in exactly one result with the right label. The
number of deliveries after which a job is given up is raised to 1000, so that kills do not use it
up: no failed result is expected either. Exit status 1 when the promise was broken.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import machine
from testkit.classifier.chaos import run
from testkit.classifier.chaos_plan import Outcome, Plan

RESULTS = Path(__file__).parent / "results" / "chaos.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chaos, print its outcome, and keep the figures."""
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
    outcome = run(plan, folder, lambda text: console.print(text, highlight=False))
    Console().print(table(outcome))
    for end in outcome.unexpected_ends:
        console.print(end, highlight=False, markup=False)
    if arguments.save:
        arguments.save.write_text(json.dumps(document(plan, outcome), indent=2) + "\n")
    return 0 if outcome.kept() else 1


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


def table(outcome: Outcome) -> Table:
    """Lay the outcome out for a person."""
    made = Table("what", "count", title="kept" if outcome.kept() else "BROKEN")
    rows: dict[str, object] = {
        "jobs": outcome.jobs,
        "results": outcome.results,
        "  with the right label": outcome.jobs - outcome.wrong,
        "  failed": outcome.failed,
        "jobs lost": outcome.lost,
        "images fetched again": outcome.begun - outcome.jobs,
        "results computed again (duplicates)": outcome.duplicates,
        "most deliveries of one job": outcome.most_attempts,
        "requests left, dead letters": f"{outcome.requests_left}, {outcome.dead_letters}",
        "kill -9, TERM, outages": f"{outcome.kills}, {outcome.terms}, {outcome.outages}",
        "workers that ended by themselves": len(outcome.unexpected_ends),
        "calls to AWS": outcome.calls,
        **{f"  {kind}": count for kind, count in sorted(outcome.faults.items())},
        "seconds": round(outcome.seconds),
    }
    for name, value in rows.items():
        made.add_row(name, str(value))
    return made


def document(plan: Plan, outcome: Outcome) -> dict[str, object]:
    """Write plan and outcome as plain values."""
    figures = asdict(outcome) | {"duplicates": outcome.duplicates, "kept": outcome.kept()}
    shape = {"seed": plan.seed, "workers": plan.workers, "max_receives": plan.max_receives}
    return {"machine": machine(), **shape, **figures, "seconds": round(outcome.seconds, 1)}


if __name__ == "__main__":
    sys.exit(main())
