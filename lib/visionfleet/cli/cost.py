"""`visionfleet cost`: what the fleet cost today, yesterday and in the last 30 days."""

import argparse
import json
import textwrap

from rich.console import Group
from rich.table import Column
from rich.text import Text

from visionfleet.cli import terminal
from visionfleet.cli.fleet_snapshot import Deployment
from visionfleet.cli.options import add_config, loaded
from visionfleet.cli.parser import COLUMNS, Parser
from visionfleet.contract.usage import FleetCost, PeriodCost
from visionfleet.cost.bill import fleet_cost
from visionfleet.cost.prices import PriceTable
from visionfleet.errors import VisionfleetError
from visionfleet.price_file import price_table
from visionfleet.scaler.usage import day_of

_NO_USE = "No scaler has told yet what the fleet uses: is visionfleet-scaler running?"


class NoUse(VisionfleetError):
    """There is no status, or only one of an older release."""


def add_arguments(parser: Parser) -> None:
    about = "price table; default: scaler.prices_file"
    parser.path("--prices", "FILE.yaml", about)
    parser.flag("--json", "print it as JSON, with each day's usage")
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    config = loaded(arguments).config
    prices = price_table(arguments.prices or config.scaler.prices_file)
    deployment = Deployment(config)
    status = deployment.status()
    if status is None or not status.usage:
        raise NoUse(_NO_USE)
    cost = fleet_cost(status.usage, prices, day_of(deployment.now()))
    if arguments.json:
        days = [day.model_dump(mode="json") for day in status.usage]
        print(json.dumps({**cost.model_dump(mode="json"), "source": prices.source, "days": days}))
    else:
        terminal.show(page(cost, prices))
    return 0


def page(cost: FleetCost, prices: PriceTable) -> Group:
    names = ("images", "worker-hours", "workers, $", "calls, $", "sum, $", "$ per 1,000")
    table = terminal.table("", *(Column(name, justify="right") for name in names))
    for one in cost.periods:
        at_least = "> " if one.unpriced and one.dollars is not None else ""
        table.add_row(
            one.period,
            f"{one.images:,}",
            f"{one.worker_seconds / 3600:,.2f}",
            dollars(one.worker_dollars),
            dollars(one.call_dollars),
            at_least + dollars(one.dollars),
            dollars(one.dollars_per_thousand_images) if one.images else "",
        )
    notes = textwrap.wrap(_notes(cost.periods, prices), COLUMNS)
    return Group(table, Text(), *map(Text, notes))


def _notes(periods: tuple[PeriodCost, ...], prices: PriceTable) -> str:
    missing = sorted({name for one in periods for name in one.unpriced})
    parts = [f"Not in the sums, for they have no price: {'; '.join(missing)}."] if missing else []
    parts += [
        f"Prices of {prices.words}; days begin at 00:00 UTC. Calls are reckoned, not counted.",
        "Hosts of web and scaler, storage and traffic come on top.",
    ]
    return " ".join(parts)


def dollars(amount: float | None) -> str:
    """An amount with as many decimals as are significant."""
    if amount is None:
        return "unknown"
    return f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.4f}"
