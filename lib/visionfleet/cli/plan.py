"""`visionfleet plan`: what fleets would cost a month on a trace, and how long images would wait."""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

from pydantic import ValidationError

from visionfleet.cli.options import add_config, check_writable, loaded, number, seconds, whole
from visionfleet.cli.parser import Parser, given_path
from visionfleet.cli.plan_page import document, draw, page
from visionfleet.cli.simulate import WORKERS, read_trace
from visionfleet.cli.terminal import progress_bar, show
from visionfleet.config import Config
from visionfleet.config.fields import DAYS
from visionfleet.config.scaler import FLEET_TIMES, ScheduleWindow
from visionfleet.cost.prices import PriceTable
from visionfleet.errors import BadPrices
from visionfleet.price_file import price_table
from visionfleet.scaler.decision import Policy
from visionfleet.scaler.sizing import POLICIES
from visionfleet.simulation import plan, trace
from visionfleet.simulation.conditions import Conditions
from visionfleet.simulation.controllers import PolicyController
from visionfleet.simulation.markets import MarketConditions
from visionfleet.simulation.outcome import Outcome
from visionfleet.simulation.plan import Option, Replayed, Schedule
from visionfleet.simulation.world import World

_PAID_SECONDS = 60.0  # EC2's minimum billed time
_HOLDS = (60.0, 120.0, 300.0)
_SCHEDULE = re.compile(r"(\d{1,4})@(\d\d:\d\d)-(\d\d:\d\d)(?:/([a-z,-]+))?")
_STDOUT = Path("-")
_SECONDS = seconds(0, 86400)


def add_arguments(parser: Parser) -> None:
    parser.add_argument("trace", type=given_path, help="CSV with the columns minute,count")
    about = "price table; default: scaler.prices_file"
    parser.path("--prices", "FILE.yaml", about)
    about = "maximum p95 wait of the recommended fleet; default: 30"
    parser.add_argument("--p95", type=_SECONDS, default=30.0, metavar="SECONDS", help=about)
    _add_fleets(parser)
    _add_world(parser)
    about = "write all figures as JSON to FILE; without FILE, print only them"
    parser.add_argument(
        "--json", nargs="?", type=given_path, const=_STDOUT, metavar="FILE", help=about
    )
    parser.plot("cost against wait")
    add_config(parser)


def _add_fleets(parser: Parser) -> None:
    fleets = parser.add_argument_group("compared fleets")
    about = "instance type, and its seconds per image; repeatable; default: all with a price"
    fleets.add_argument("--type", action="append", type=_timed_type, metavar="TYPE[=S]", help=about)
    about = (
        "spot, on-demand, or both (on demand what spot refuses); repeatable; default: the first "
        "two, with --spot-refusals all"
    )
    fleets.add_argument("--market", action="append", choices=[*plan.MARKETS], help=about)
    about = "cooldown before scale-in; repeatable; default: 60, 120, 300"
    fleets.add_argument("--hold", action="append", type=_SECONDS, metavar="SECONDS", help=about)
    about = (
        "at least N workers at these hours in UTC, such as 2@08:00-18:00/mon-fri; repeatable; "
        "default: none, and that of the configuration"
    )
    shape = "N@HH:MM-HH:MM[/DAYS]"
    fleets.add_argument("--schedule", action="append", type=schedule, metavar=shape, help=about)
    about = "maximum of workers; default: scaler.maximum"
    fleets.add_argument("--maximum", type=whole(1, 1000), metavar="N", help=about)


def _add_world(parser: Parser) -> None:
    world, usual = parser.add_argument_group("simulation"), Conditions()
    options: dict[str, tuple[Callable[[str], float], float, str]] = {
        "service": (
            seconds(0.001, 3600),
            usual.service_seconds,
            "seconds per image on the first type; scaled by vCPUs on others",
        ),
        "boot": (_SECONDS, usual.boot_seconds, "seconds until an instance accepts work"),
        "spot-refusals": (number("a share", 0, 1), 0.0, "share of launches that spot refuses"),
        "interruptions": (
            number("a rate", 0, 100),
            0.0,
            "spot interruptions per worker and hour",
        ),
        "factor": (number("a factor", 1e-6, 1e6), 1.0, "multiplies the counts of the trace"),
    }
    for name, (read, default, about) in options.items():
        text = f"{about}; default: {default:g}"
        world.add_argument(f"--{name}", type=read, default=default, metavar="N", help=text)
    world.add_argument("--seed", type=whole(0, 2**31), default=1, metavar="N")


def run(arguments: argparse.Namespace) -> int:
    check_writable(None if arguments.json == _STDOUT else arguments.json, arguments.plot)
    config = loaded(arguments).config
    prices = price_table(arguments.prices or config.scaler.prices_file)
    options = list(_options(arguments, config, prices))
    counts, starts_at = read_trace(arguments.trace)
    arrivals = trace.arrivals(counts, arguments.factor, Random(arguments.seed))
    policy = _policy(arguments, config)
    conditions = Conditions(boot_seconds=arguments.boot, seed=arguments.seed)
    different = dict.fromkeys(option.replayed for option in options)
    worlds = {one: _world(one, policy, conditions, starts_at) for one in different}
    outcomes, hours = _replays(worlds, arrivals), len(counts) / 60
    priced = (
        plan.estimate(one, outcomes[one.replayed], hours, prices, policy.maximum) for one in options
    )
    estimates = plan.by_cost(one for one in priced if one is not None)
    _tell(arguments, estimates, prices)
    return 0


def _tell(
    arguments: argparse.Namespace, estimates: Sequence[plan.Estimate], prices: PriceTable
) -> None:
    found = document(estimates, arguments.p95, prices)
    if arguments.json == _STDOUT:
        print(json.dumps(found, indent=2))
    else:
        show(page(estimates, arguments.p95, prices))
    if arguments.json not in (None, _STDOUT):
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.plot:
        draw(estimates, arguments.p95, arguments.plot)


def _options(arguments: argparse.Namespace, config: Config, prices: PriceTable) -> Iterator[Option]:
    """All combinations to compare; raises BadPrices for a type without a price."""
    types = arguments.type or [(name, None) for name in _types(config, prices)]
    for name, _ in types:
        if name not in prices.instances:
            known = ", ".join(prices.instances)
            raise BadPrices(f"{name} has no price; there are prices of {known}")
    each = plan.service_seconds(types, arguments.service, prices)
    markets = arguments.market or [*plan.MARKETS][: 3 if arguments.spot_refusals else 2]
    holds = arguments.hold or _HOLDS
    schedules = arguments.schedule or _schedules(config)
    for (name, image), market, hold, hours in product(each.items(), markets, holds, schedules):
        yield Option(name, market, Replayed(image, hold, hours, _market(arguments, market)))


def _market(arguments: argparse.Namespace, market: str) -> MarketConditions:
    """Spot without refusals and interruptions behaves like on demand, and shares its replay."""
    refused, taken = arguments.spot_refusals, arguments.interruptions
    if market == "on-demand" or not (refused or taken):
        return MarketConditions()
    return MarketConditions(plan.MARKETS[market], refused, taken)


def _types(config: Config, prices: PriceTable) -> Sequence[str]:
    chosen = [name for name in config.ec2.instance_types if name in prices.instances]
    return chosen or list(prices.instances)


def _schedules(config: Config) -> list[Schedule]:
    none, own = Schedule(), config.scaler.schedule
    return [none, Schedule("as configured", own)] if own else [none]


def _policy(arguments: argparse.Namespace, config: Config) -> Policy:
    """The configured policy, as on EC2."""
    policy = Policy.of(config, WORKERS).changed(paid_seconds=_PAID_SECONDS)
    times = replace(FLEET_TIMES["ec2"], boot_seconds=arguments.boot)
    return replace(policy, times=times, maximum=arguments.maximum or policy.maximum)


def _replays(
    worlds: Mapping[Replayed, World], arrivals: Sequence[int]
) -> Mapping[Replayed, Outcome]:
    hours = len(worlds) * len(arrivals) // 3600
    with progress_bar(f"{len(worlds)} replays, hours", hours) as advance:
        return {one: world.run(arrivals, advance) for one, world in worlds.items()}


def _world(one: Replayed, policy: Policy, conditions: Conditions, starts_at: float) -> World:
    policy = policy.changed(
        hold_seconds=one.hold_seconds,
        service_seconds=one.service_seconds,
        schedule=one.schedule.windows,
    )
    decide = POLICIES[policy.settings.policy]
    conditions = replace(conditions, service_seconds=one.service_seconds, market=one.market)
    return World(conditions, PolicyController(decide, policy, starts_at=starts_at))


def _timed_type(text: str) -> tuple[str, float | None]:
    name, given, time = text.partition("=")
    return name, seconds(0.001, 3600)(time) if given else None


def schedule(text: str) -> Schedule:
    """Parse `2@08:00-18:00/mon-fri`; all days by default. `none` is no schedule."""
    if text == "none":
        return Schedule()
    found = _SCHEDULE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        minimum, start, end, days = found.groups()
        window = {"minimum": int(minimum), "start": start, "end": end, "days": _days(days)}
        return Schedule(text, (ScheduleWindow.model_validate(window),))
    except (ValueError, ValidationError) as error:
        expected = "expected N@HH:MM-HH:MM[/DAYS], as 2@08:00-18:00/mon-fri, or none"
        raise argparse.ArgumentTypeError(expected) from error


def _days(text: str | None) -> list[str]:
    if text is None:
        return list(DAYS)
    found: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found += DAYS[begin : end + 1] if begin <= end else (*DAYS[begin:], *DAYS[: end + 1])
    return found
