"""The output of `visionfleet plan`: table, recommendation, JSON, plot."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.table import Column
from rich.text import Text

from visionfleet.cli import plots, terminal
from visionfleet.cli.parser import COLUMNS
from visionfleet.cost.prices import PriceTable
from visionfleet.simulation.plan import Estimate, cheapest_within, quickest


def document(
    estimates: Sequence[Estimate], p95_seconds: float, prices: PriceTable
) -> dict[str, object]:
    best = cheapest_within(estimates, p95_seconds)
    return {
        "prices": {"date": str(prices.date), "region": prices.region, "source": prices.source},
        "p95_wait_limit_seconds": p95_seconds,
        "recommended": None if best is None else best.figures(),
        "fleets": [one.figures() for one in estimates],
    }


def page(estimates: Sequence[Estimate], p95_seconds: float, prices: PriceTable) -> Group:
    best = cheapest_within(estimates, p95_seconds)
    right = [Column(name, justify="right") for name in ("$/month", "p95 wait", "peak")]
    table = terminal.table("type", "market", Column("hold", justify="right"), "schedule", *right)
    for one in estimates:
        replayed, style = one.option.replayed, "bold" if one is best else ""
        table.add_row(
            one.option.instance_type,
            one.option.market,
            f"{replayed.hold_seconds:g} s",
            replayed.schedule.words,
            f"{one.dollars:,.2f}",
            "unserved" if one.unserved else f"{one.p95_wait_seconds:.0f} s",
            str(one.peak_workers),
            style=style,
        )
    said = f"{recommendation(estimates, p95_seconds)} Prices of {prices.words}."
    return Group(table, Text(), *map(Text, textwrap.wrap(said, COLUMNS)))


def recommendation(estimates: Sequence[Estimate], p95_seconds: float) -> str:
    best, nearest = cheapest_within(estimates, p95_seconds), quickest(estimates)
    if best is not None:
        thousand = best.dollars_per_thousand_images
        each = "" if thousand is None else f", {thousand:.4f} per thousand images"
        first = f"Recommended for a p95 wait of {p95_seconds:g} s: {_words(best)}"
        return f"{first}; {best.dollars:,.2f} dollars a month{each}."
    if nearest is None:
        return "None of these has a price."
    first = f"None keeps a p95 wait of {p95_seconds:g} s; the nearest is {_words(nearest)}"
    wait, dollars = nearest.p95_wait_seconds, nearest.dollars
    said = f"{first}, with {wait:.0f} s for {dollars:,.2f} dollars a month"
    return f"{said}, and all {nearest.peak_workers} workers." if nearest.held_back else f"{said}."


def _words(one: Estimate) -> str:
    option, replayed = one.option, one.option.replayed
    hours = "" if not replayed.schedule.windows else f", schedule {replayed.schedule.words}"
    return f"{option.instance_type} {option.market}, hold {replayed.hold_seconds:g} s{hours}"


def draw(estimates: Sequence[Estimate], p95_seconds: float, path: Path) -> None:
    drawn = plots.figure(10, 6)
    axes = drawn.subplots()
    kinds = dict.fromkeys((e.option.instance_type, e.option.market) for e in estimates)
    for kind in kinds:
        of_kind = [e for e in estimates if (e.option.instance_type, e.option.market) == kind]
        waits, dollars = [e.p95_wait_seconds for e in of_kind], [e.dollars for e in of_kind]
        axes.plot(waits, dollars, "o" if kind[1] == "spot" else "s", label=", ".join(kind))
    axes.axvline(p95_seconds, color="gray", linestyle="--", label="limit of the wait")
    axes.set_xlabel("95 % of the images wait so many seconds or less")
    axes.set_ylabel("dollars a month")
    axes.set_ylim(bottom=0)
    axes.legend()
    plots.write(drawn, path)
