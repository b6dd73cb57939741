"""`visionfleet simulate`: what a policy would have cost on a trace, and how long images waited."""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import TypeVar

from visionfleet.cli import plots, terminal
from visionfleet.cli.options import add_config, check_writable, loaded, number, seconds, whole
from visionfleet.cli.parser import Parser, given_path
from visionfleet.cli.terminal import progress_bar
from visionfleet.config import Config
from visionfleet.errors import VisionfleetError, reason_of
from visionfleet.scaler.decision import Policy
from visionfleet.scaler.sizing import POLICIES
from visionfleet.simulation import trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import controller
from visionfleet.simulation.markets import MarketConditions
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.world import World

WORKERS = 19  # if the maximum is `cores`, which does not apply to a simulation
_BUSIEST_SHARE = 0.999  # quantile of the minutes; rarer peaks are not worth a fleet
_KNOWN = ", ".join([*POLICIES, "fixed:N"])
_T = TypeVar("_T")


class NoSimulation(VisionfleetError):
    """An unreadable trace, or an unknown policy."""


def add_arguments(parser: Parser) -> None:
    parser.add_argument("trace", type=given_path, help="CSV with minute,count or second,count")
    parser.add_argument("--policy", action="append", metavar="NAME", help=f"{_KNOWN}; repeatable")
    usual = Conditions()
    for name, limits, default, about in (
        ("--boot", (0, 86400), usual.boot_seconds, "boot time of a worker"),
        ("--service", (0.001, 3600), usual.service_seconds, "seconds per image"),
        ("--call", (0, 60), usual.call_seconds, "latency of a worker's AWS calls"),
        ("--lag", (0, 600), usual.lag_seconds, "age of the queue counts"),
    ):
        parser.number(name, seconds(*limits), default, about, "SECONDS")
    parser.number("--crashes", number("a number", 0, 100), 0.0, "crashes per worker and hour")
    add_markets(parser)
    parser.add_argument(
        "--factor",
        type=float,
        help="multiplies the counts; default: scale to the maximum of workers",
    )
    parser.add_argument("--seed", type=whole(0, 2**31), default=1)
    parser.plot("images waiting and workers over time")
    parser.add_argument("--json", type=given_path, metavar="FILE.json")
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    check_writable(arguments.json, arguments.plot)
    config = loaded(arguments).config
    policy = Policy.of(config, WORKERS).changed(service_seconds=arguments.service, schedule=())
    policy = replace(policy, times=replace(policy.times, boot_seconds=arguments.boot))
    conditions = Conditions(
        service_seconds=arguments.service,
        call_seconds=arguments.call,
        boot_seconds=arguments.boot,
        lag_seconds=round(arguments.lag),
        crashes_per_hour=arguments.crashes,
        market=market_conditions(arguments, config),
        seed=arguments.seed,
    )
    arrivals = _arrivals(arguments, policy.maximum)
    names = arguments.policy or [*POLICIES]
    outcomes = {name: _replay(name, policy, conditions, arrivals) for name in names}
    _print(outcomes)
    if arguments.json:
        figures = {name: outcome.figures() for name, outcome in outcomes.items()}
        made = {"conditions": asdict(conditions), "policies": figures}
        arguments.json.write_text(json.dumps(made, indent=2) + "\n")
    if arguments.plot:
        _plot(outcomes, arguments.plot)
    return 0


def add_markets(parser: Parser) -> None:
    share = number("a share", 0, 1)
    refusals = "share of launches that spot refuses"
    parser.add_argument("--spot-refusals", type=share, metavar="RATE", help=refusals)
    taken = "spot interruptions per worker and hour"
    rate = number("a number", 0, 100)
    parser.add_argument("--interruptions", type=rate, metavar="RATE", help=taken)


def market_conditions(arguments: argparse.Namespace, config: Config) -> MarketConditions:
    """The configured markets; on-demand after spot if an option concerns spot and there is none."""
    asked = arguments.spot_refusals is not None or arguments.interruptions is not None
    markets = config.ec2.markets
    if asked and "spot" not in markets:
        markets = ("spot", "on-demand")
    return MarketConditions(markets, arguments.spot_refusals or 0, arguments.interruptions or 0)


def read_trace(path: Path) -> tuple[list[int], float]:
    """Read the counts per minute, and the time of the first; raises NoSimulation."""
    return _read(path, lambda lines: (trace.read(lines), trace.begins_at(lines)))


def _read(path: Path, read: Callable[[Sequence[str]], _T]) -> _T:
    try:
        return read(path.read_text().splitlines())
    except (OSError, UnicodeDecodeError, trace.BadTrace) as error:
        raise NoSimulation(f"{path}: {reason_of(error)}") from error


def _arrivals(arguments: argparse.Namespace, maximum: int) -> list[int]:
    if _read(arguments.trace, trace.has_seconds):
        return _read(arguments.trace, trace.read_seconds)
    counts, _ = read_trace(arguments.trace)
    factor = arguments.factor
    if factor is None:
        factor = trace.scale(counts, maximum, arguments.service, _BUSIEST_SHARE)
    return trace.arrivals(counts, factor, Random(arguments.seed))


def _replay(name: str, policy: Policy, conditions: Conditions, arrivals: Sequence[int]) -> Outcome:
    try:
        made = controller(name, policy)
    except KeyError as error:
        others = f"there are {_KNOWN}; `make bench-scaling` compares with other scalers"
        hint = "`pace` is its name now" if name == "ours" else others
        raise NoSimulation(f"no policy {name!r}; {hint}") from error
    with progress_bar(f"{name}, hours", len(arrivals) // 3600) as advance:
        return World(conditions, made).run(arrivals, advance)


def _print(outcomes: dict[str, Outcome]) -> None:
    columns = ("policy", "worker-hours", "/ work", "p50 wait", "p95", "p99", "launches")
    table = terminal.table(*columns, "kills", "peak")
    for name, outcome in outcomes.items():
        waits = [f"{outcome.wait_quantile(share):.0f} s" for share in (0.5, 0.95, 0.99)]
        ratio = outcome.billed_hours / max(outcome.work_hours, 1e-9)
        counts = (outcome.launches, outcome.busy_kills, outcome.peak_workers)
        hours = f"{outcome.billed_hours:.1f}"
        table.add_row(name, hours, f"{ratio:.2f}", *waits, *map(str, counts))
    terminal.show(table)
    for name, outcome in outcomes.items():
        if outcome.spot_refusals or outcome.interruptions:
            terminal.show(f"{name}: {_market(outcome)}")


def _market(outcome: Outcome) -> str:
    share = outcome.on_demand_hours / max(outcome.billed_hours, 1e-9)
    return (
        f"{share:.1%} of the worker-hours on demand, as spot refused {outcome.spot_refusals} "
        f"launches; it took {outcome.interruptions} workers back; {outcome.lost} images lost"
    )


def _plot(outcomes: dict[str, Outcome], path: Path) -> None:
    drawn = plots.figure(10, 6)
    above, below = drawn.subplots(2, 1, sharex=True)
    for name, outcome in outcomes.items():
        hours = [second / 3600 for second, _, _ in outcome.timeline]
        above.step(hours, [size for _, _, size in outcome.timeline], where="post", label=name)
        below.step(hours, [visible for _, visible, _ in outcome.timeline], where="post")
    above.set_ylabel("workers")
    above.yaxis.get_major_locator().set_params(integer=True)
    above.legend()
    below.set_ylabel("images waiting")
    below.set_xlabel("hours")
    plots.write(drawn, path)
