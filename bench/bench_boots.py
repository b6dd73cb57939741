"""What a shorter boot is worth, and a tier of stopped instances, on the traces of bench_scaling.

`python -m bench.bench_boots [TRACE.csv ...]`: the second half of each, by the policy as shipped.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from bench.bench_scaling import MAXIMUM, Job, ec2_policy, halves, made, trace_paths
from bench.figures import save, show
from bench.stopped_instances import WarmPoolWorld
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.outcome import Outcome

# List prices in us-east-1, dollars an hour: a c7i.large with its address and disk, and a stopped
# one, which is a disk of 8 GB at 0.08 a month and GB.
WORKER_HOUR = 0.0953
STOPPED_HOUR = 8 * 0.08 / 730
CASES: Mapping[str, Conditions] = {
    "boot 45 s": Conditions(boot_seconds=45),
    "boot 20 s": Conditions(boot_seconds=20),
    "boot 8 s": Conditions(boot_seconds=8),
}
STOPPED = (MAXIMUM // 2, MAXIMUM)


def figures(outcome: Outcome, hours: float, stopped: int) -> dict[str, float]:
    """Costs are in hours of a worker; a stopped instance costs its disk all the time."""
    disks = stopped * hours * STOPPED_HOUR / WORKER_HOUR
    return {
        "p95_wait_seconds": outcome.wait_quantile(0.95),
        "worker_hours": round(outcome.billed_hours, 2),
        "disks_as_worker_hours": round(disks, 2),
        "cost_as_worker_hours": round(outcome.billed_hours + disks, 2),
    }


def replayed(path: Path) -> dict[str, dict[str, float]]:
    policy = ec2_policy()
    _, arrivals, _ = halves(path, policy.maximum, Conditions().service_seconds)
    cases = {name: (conditions, 0) for name, conditions in CASES.items()}
    cases |= {f"{count} stopped": (Conditions(), count) for count in STOPPED}
    found = {}
    for name, (conditions, stopped) in cases.items():
        times = replace(policy.times, boot_seconds=conditions.boot_seconds)
        target = policy.settings.target_wait_seconds
        job = Job("pace", target, 0, arrivals, replace(policy, times=times), conditions)
        world = WarmPoolWorld(conditions, made(job), instances=stopped)
        found[name] = figures(world.run(arrivals), len(arrivals) / 3600, stopped)
    return found


def main() -> None:
    """Replay every case on every trace, print a table, save the figures."""
    paths = trace_paths(__doc__)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        traces = dict(zip((p.stem for p in paths), pool.map(replayed, paths), strict=True))
    for name, cases in traces.items():
        least = cases["boot 45 s"]["cost_as_worker_hours"]
        rows = [
            [case, *map(str, found.values()), f"{found['cost_as_worker_hours'] / least:.3f}"]
            for case, found in cases.items()
        ]
        columns = ("case", "p95 s", "worker-hours", "disks", "both", "of a boot of 45 s")
        show(name, columns, rows)
    save("boots", {"worker_dollars_an_hour": WORKER_HOUR, "traces": traces})


if __name__ == "__main__":
    main()
