"""Cost and wait of the scaling policy against named baselines and a clairvoyant, on traces.

Every policy's own knob is swept; ours is tuned on the first half of each trace, and all figures
are those of the second half. `python -m bench.bench_scaling [TRACE.csv ...]`.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from random import Random

from bench.clairvoyant import clairvoyant
from bench.figures import RESULTS, save, show
from bench.rivals import CONDITIONS, RIVALS
from visionfleet.config import Config
from visionfleet.scaler.decision import Policy
from visionfleet.simulation import trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.world import Controller, World

TRACES = Path(os.environ.get("TRACES", "../shared/data/traces"))
# Those that made_traces.py makes: their counts are played as they are.
MADE = Path(__file__).with_name("traces")
BUSIEST_SHARE = 0.999
SHARE = 0.95
MAXIMUM = 19  # workers, and the default of the setting
# Our knob is the wait that the fleet is sized for; each baseline's is its own target, and beside it
# the window of its averages, the interval of its points, or the time until an idle worker ends.
SWEEPS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "pace": ((2, 5, 10, 20, 40), (0,)),
    "keda": ((0.6, 0.8, 1, 1.2), (60, 300)),
    "target_tracking": ((0.6, 0.8, 1), (10, 60)),
    "knative": ((0.5, 0.7, 0.8), (60, 300)),
    "buildkite": ((0.7, 1, 2, 5), (60, 150)),
    "per_message": ((0,), (0,)),
    "fixed": ((8, 9, 10, 12, 14, 16), (0,)),
    "clairvoyant": ((1, 10, 40), (0,)),
}
BASELINES = (*RIVALS, "fixed")
OTHERS = (*BASELINES, "per_message")
COLORS = {"pace": "tab:red", "clairvoyant": "black"}
LINES = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:gray", "tab:pink")


@dataclass(frozen=True, slots=True)
class Job:
    """One replay: a policy with its knobs on one half of a trace."""

    name: str
    target: float
    seconds: float
    arrivals: Sequence[int]
    policy: Policy
    conditions: Conditions

    @property
    def label(self) -> str:
        target = f":{self.target:g}" if self.target else ""
        return f"{self.name}{target}" + (f",{self.seconds:g} s" if self.seconds else "")


def replay(job: Job) -> Outcome:
    """Run a job."""
    conditions = replace(job.conditions, **CONDITIONS.get(job.name, {}))
    return World(conditions, made(job)).run(job.arrivals)


def made(job: Job) -> Controller:
    """Make a controller: its knob is ours' and the clairvoyant's wait, each other's own target."""
    policy, conditions, target = job.policy, job.conditions, job.target
    if job.name == "clairvoyant":
        return clairvoyant(job.arrivals, round(target), conditions, policy.maximum)
    if job.name in RIVALS:
        return RIVALS[job.name](target, policy.maximum, Random(conditions.seed + 1), job.seconds)
    if job.name == "fixed":
        return controller(f"fixed:{target:g}", policy)
    if job.name == "pace":
        policy = policy.changed(target_wait_seconds=target)
    return controller(job.name, policy)


def halves(path: Path, maximum: int, service_seconds: float) -> tuple[list[int], list[int], float]:
    """Arrivals of the first and the second half, and the factor of both: as they were where the
    trace has their seconds.
    """
    lines = path.read_text().splitlines()
    if trace.has_seconds(lines):
        seconds = trace.read_seconds(lines)
        return seconds[: len(seconds) // 2], seconds[len(seconds) // 2 :], 1.0
    counts = trace.read(lines)
    made = path.parent.resolve() == MADE.resolve()
    factor = 1.0 if made else trace.scale(counts, maximum, service_seconds, BUSIEST_SHARE)
    middle = len(counts) // 2
    first = trace.arrivals(counts[:middle], factor, Random(1))
    return first, trace.arrivals(counts[middle:], factor, Random(2)), factor


def cheapest(points: Sequence[Outcome], wait_seconds: float) -> float | None:
    """The least cost among those whose wait is no longer than this."""
    fit = [p.billed_hours for p in points if p.wait_quantile(SHARE) <= wait_seconds]
    return min(fit, default=None)


def compare(outcomes: dict[str, Outcome], chosen: str) -> dict[str, object]:
    """Hold our chosen point against the cheapest others with no longer a wait."""
    ours = outcomes[chosen]
    wait = ours.wait_quantile(SHARE)

    def of(names: Sequence[str]) -> list[Outcome]:
        return [o for label, o in outcomes.items() if label.partition(":")[0] in names]

    best, least = cheapest(of(BASELINES), wait), cheapest(of(["clairvoyant"]), wait)
    every = cheapest(of(OTHERS), wait)
    dominated = [
        label
        for label, other in outcomes.items()
        if label.partition(":")[0] in BASELINES
        and other.wait_quantile(SHARE) <= wait
        and other.billed_hours <= ours.billed_hours
    ]
    return {
        "chosen": chosen,
        "policies": {label: outcome.figures() for label, outcome in outcomes.items()},
        "cost_over_best_baseline": best and round(ours.billed_hours / best, 3),
        "cost_over_best_of_all": every and round(ours.billed_hours / every, 3),
        "cost_over_clairvoyant": least and round(ours.billed_hours / least, 3),
        "baselines_better_in_both": dominated,
    }


def tuned(first: dict[str, Outcome]) -> str:
    """Our knob's value with the least product of cost and wait (in tens of seconds, and one)."""
    ours = {label: o for label, o in first.items() if label.startswith("pace:")}
    return min(ours, key=lambda k: ours[k].billed_hours * (1 + ours[k].wait_quantile(SHARE) / 100))


def run_trace(path: Path, pool: ProcessPoolExecutor, policy: Policy) -> dict[str, object]:
    """Replay all policies on one trace."""
    conditions = Conditions()
    first, second, factor = halves(path, policy.maximum, conditions.service_seconds)

    def all_of(arrivals: list[int], names: Sequence[str]) -> dict[str, Outcome]:
        knobs = [(name, *pair) for name in names for pair in product(*SWEEPS[name])]
        jobs = [Job(*knob, arrivals, policy, conditions) for knob in knobs]
        return {j.label: o for j, o in zip(jobs, pool.map(replay, jobs), strict=True)}

    chosen = tuned(all_of(first, ["pace"]))
    outcomes = all_of(second, list(SWEEPS))
    rows = [
        [label, f"{o.billed_hours:.1f}", f"{o.billed_hours / o.work_hours:.2f}"]
        + [f"{o.wait_quantile(q):.0f}" for q in (0.5, 0.95, 0.99)]
        + [str(o.launches), str(o.busy_kills), str(o.peak_workers)]
        for label, o in outcomes.items()
    ]
    columns = ("policy", "worker-hours", "of work", "p50 s", "p95 s", "p99 s", "starts")
    show(f"{path.stem}, second half, factor {factor:.4g}", (*columns, "busy kills", "peak"), rows)
    plot(path.stem, outcomes)
    return {"factor": factor, **compare(outcomes, chosen)}


def plot(name: str, outcomes: dict[str, Outcome]) -> None:
    """Draw cost against wait, one line per policy."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    axes.set_prop_cycle(color=LINES)
    for kind in SWEEPS:
        points = sorted(
            (o.wait_quantile(SHARE), o.billed_hours)
            for label, o in outcomes.items()
            if label.partition(":")[0] == kind
        )
        style = {"color": COLORS[kind], "linewidth": 2.5} if kind in COLORS else {"alpha": 0.7}
        waits, hours = zip(*points, strict=True)
        axes.plot(waits, hours, marker="o", markersize=4, label=kind, **style)
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(left=-0.5)
    axes.set_xlabel("95th percentile of the wait, seconds")
    axes.set_ylabel("billed worker-hours")
    axes.set_title(f"{name}: cost against wait; lower left is better")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / f"scaling-{name}.png", dpi=110)
    pyplot.close(figure)


def ec2_policy() -> Policy:
    """The policy as shipped, of a fleet on EC2."""
    return Policy.of(Config.model_validate({"scaler": {"fleet": "ec2"}}), MAXIMUM)


def trace_paths(description: str | None) -> list[Path]:
    """The traces of the command line or else of the folder, and always those that are made."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("traces", nargs="*", type=Path, help="CSV files with minute,count")
    paths: list[Path] = parser.parse_args().traces or sorted(TRACES.glob("*.csv"))
    if not paths:
        raise SystemExit(f"no traces in {TRACES}: name CSV files with the columns minute,count")
    return paths + [path for path in sorted(MADE.glob("*.csv")) if path not in paths]


def main() -> None:
    """Replay every trace, print tables, save figures and plots."""
    paths, policy = trace_paths(__doc__), ec2_policy()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        traces = {path.stem: run_trace(path, pool, policy) for path in paths}
    columns = (
        "trace",
        "our point",
        "cost / cheapest baseline",
        "cost / cheapest of all",
        "cost / clairvoyant",
        "better in both",
    )
    keys = (
        "chosen",
        "cost_over_best_baseline",
        "cost_over_best_of_all",
        "cost_over_clairvoyant",
        "baselines_better_in_both",
    )
    rows = [[name, *(str(found[key] or "none") for key in keys)] for name, found in traces.items()]
    show("at no longer a 95th percentile wait", columns, rows)
    save("scaling", {"traces": traces})


if __name__ == "__main__":
    main()
