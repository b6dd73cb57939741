"""`visionfleet status`: the queue, the workers, and what the scaler decided last."""

import argparse
import json
import sys
import time
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from visionfleet.cli import terminal
from visionfleet.cli.fleet_snapshot import Deployment, Snapshot
from visionfleet.cli.options import add_config, loaded, seconds
from visionfleet.cli.parser import Parser
from visionfleet.contract.documents import SCALER_SILENT_SECONDS
from visionfleet.contract.messages import FleetStatus, WorkerReport
from visionfleet.errors import VisionfleetError

NO_STATUS = "No scaler has reported yet: is visionfleet-scaler running?"


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.flag("--json", "print it as JSON")
    parser.flag("--watch", "refresh until Ctrl-C")
    parser.number("--interval", seconds(0.2, 3600), 2.0, "refresh interval with --watch", "SECONDS")


def run(arguments: argparse.Namespace) -> int:
    deployment = Deployment(loaded(arguments).config)
    if arguments.watch and not arguments.json and sys.stdout.isatty():
        return _watch(deployment, arguments.interval)
    for snapshot in _snapshots(deployment, arguments.interval, arguments.watch):
        if arguments.json:
            print(json.dumps(_document(snapshot)), flush=True)
        else:
            terminal.show(_page(snapshot, deployment.now()))
    return 0


def _snapshots(deployment: Deployment, interval: float, watch: bool) -> Iterator[Snapshot]:
    while True:
        try:
            yield deployment.snapshot()
        except VisionfleetError as error:
            if not watch:
                raise
            print(f"visionfleet: {error}", file=sys.stderr)
        if not watch:
            return
        time.sleep(interval)


def _watch(deployment: Deployment, interval: float) -> int:
    with Live(auto_refresh=False, screen=False) as live:
        for snapshot in _snapshots(deployment, interval, watch=True):
            live.update(_page(snapshot, deployment.now()), refresh=True)
    return 0


def _document(snapshot: Snapshot) -> dict[str, object]:
    return {
        "queue": {
            "visible": snapshot.counts.visible,
            "in_flight": snapshot.counts.in_flight,
            "dead_letters": snapshot.dead_letters,
        },
        "status": None if snapshot.status is None else snapshot.status.model_dump(mode="json"),
        "workers": [report.model_dump(mode="json") for report in snapshot.workers],
    }


def _page(snapshot: Snapshot, now: float) -> Group:
    counts, dead = snapshot.counts, snapshot.dead_letters
    queue = f"Queue: {counts.visible} waiting, {counts.in_flight} in flight, {dead} dead letters"
    alive = [report for report in snapshot.workers if report.state != "stopped"]
    parts: list[Text | Table] = [Text(queue)]
    parts += [Text(line) for line in scaler_lines(snapshot.status, now)]
    if fault := snapshot.fault_of_bucket():
        parts.append(Text(f"Alarm: {fault}"))
    if models := sorted({report.model.name for report in alive if report.model}):
        parts.append(Text(f"Model: {', '.join(models)}"))
    if alive:
        parts += [Text(""), _workers_table(alive, now)]
    return Group(*parts)


def scaler_lines(status: FleetStatus | None, now: float) -> Iterator[str]:
    if status is None:
        yield NO_STATUS
        return
    states = ", ".join(f"{count} {state}" for state, count in sorted(status.states.items()))
    limits = f"minimum {status.minimum}, maximum {status.maximum}"
    yield f"Workers: {states or 'none'} ({limits})"
    if status.markets or status.market_reason:
        yield f"Markets: {_markets(status)}"
    if status.holder:
        yield f"Scaler: {status.holder}, term {status.term}, policy {status.policy}"
    if learned := list(_learned(status)):
        yield f"Learned: {', '.join(learned)}"
    yield f"Last decision, {ago(now - status.decided_at)}: {status.decision}"
    if status.reason and status.reason != status.decision:
        yield f"Now: {status.reason}"
    yield from (f"Alarm: {alarm}" for alarm in status.alarms)
    if now - status.at > SCALER_SILENT_SECONDS:
        yield f"The scaler reported last {ago(now - status.at)}: is it running?"


def _markets(status: FleetStatus) -> str:
    total = sum(status.markets.values())
    counted = [f"{n} {m} ({n / total:.0%})" for m, n in sorted(status.markets.items())]
    shares = ", ".join(counted) or "none"
    return f"{shares}; {status.market_reason}" if status.market_reason else shares


def _learned(status: FleetStatus) -> Iterator[str]:
    if status.boot_seconds is not None:
        yield f"a boot takes {status.boot_seconds:.1f} s"
    if status.service_seconds is not None:
        yield f"an image takes {status.service_seconds:.3f} s"


def _workers_table(reports: list[WorkerReport], now: float) -> Table:
    columns = ("worker", "state", "for", "in flight", "handled", "can do", "busy", "silent")
    made = terminal.table(*columns)
    for report in reports:
        capacity, busy = report.capacity_per_second, report.busy_share
        made.add_row(
            Text(report.worker),
            _state(report),
            span(now - report.since),
            str(report.in_flight),
            str(report.handled),
            "" if capacity is None else f"{capacity:.{0 if capacity >= 100 else 2}f}/s",
            "" if busy is None else f"{busy:.0%}",
            span(now - report.reported_at),
        )
    return made


def _state(report: WorkerReport) -> str:
    if report.fault:
        return "broken"
    return "stuck" if report.stuck else report.state


def ago(seconds: float) -> str:
    return f"{span(seconds)} ago"


def span(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} d"
