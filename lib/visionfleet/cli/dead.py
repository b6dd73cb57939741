"""`visionfleet dead`: list, show and redrive the requests that failed too often."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from visionfleet.cli.options import Subparsers, add_config, command, loaded, whole
from visionfleet.errors import NotFound, VisionfleetError

if TYPE_CHECKING:
    from visionfleet.aws.s3 import Store
    from visionfleet.aws.sqs import Queue
    from visionfleet.aws.sqs_move_tasks import Move, MoveTasks
    from visionfleet.config import Config
    from visionfleet.dead_letters.inspect import DeadLetter

MOST_PER_SECOND = 500  # what SQS allows a move task

REDRIVE = """
Move dead letters back to the requests, where workers try them again.

Without --limit and --only-decodable SQS itself moves them, as a message move task: it goes on when
this command ends, and the command run again follows it. Where there is no such task (the embedded
AWS) or where letters are chosen, they are moved one by one: each is sent before it is deleted, so
none is lost; one may be sent twice when this is interrupted, which does no harm. What cannot be
decoded comes back as a dead letter.

A moved job is tried again from the first attempt. A failed result with the code gave_up stays
until there is a better one: an answer takes its place. Every other result stays for good: a job
that has one is answered from it.
"""


@dataclass(frozen=True, slots=True)
class Place:
    """The queues and buckets of one deployment."""

    dead: "Queue"
    requests: "Queue"
    uploads: "Store"
    results: "Store"
    tasks: "MoveTasks"


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand with its three own ones."""
    about = "list, show and redrive the requests that failed too often"
    below = command(subparsers, "dead", about, list_letters).add_subparsers(
        required=True, metavar="WHAT"
    )
    some = command(below, "list", "list dead letters, and why each is there", list_letters)
    some.add_argument("--limit", type=whole(1, 10**6), default=100, help="default: %(default)s")
    one = command(below, "show", "show all there is to know of one dead letter", show)
    one.add_argument("which", metavar="MESSAGE_ID_OR_JOB")
    for parser in (some, one):
        parser.add_argument("--json", action="store_true", help="print it as JSON")
    _add_redrive(below)
    for parser in below.choices.values():
        add_config(parser)


def _add_redrive(below: Subparsers) -> None:
    parser = command(below, "redrive", "move dead letters back to the requests", redrive)
    parser.description = REDRIVE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--rate", type=whole(1, MOST_PER_SECOND), metavar="PER_SECOND", help="default: no limit"
    )
    parser.add_argument("--limit", type=whole(1, 10**9), metavar="N", help="move N at the most")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only-decodable", action="store_true", help="leave those that no worker can decode"
    )
    which.add_argument(
        "--all", dest="only_decodable", action="store_false", help="move all; the default"
    )


def place(config: "Config") -> Place:
    """Find the queues; raises NotFound."""
    from visionfleet.aws.clients import client_factory
    from visionfleet.aws.s3 import Store
    from visionfleet.aws.sqs import Queue
    from visionfleet.aws.sqs_move_tasks import MoveTasks
    from visionfleet.contract import names

    clients = client_factory(config.aws)
    s3, sqs = clients.client("s3"), clients.client("sqs")
    try:
        dead = Queue(sqs, names.dead_queue(config.name))
        requests = Queue(sqs, names.requests_queue(config.name))
    except NotFound as error:
        raise NotFound(f"{error}; `visionfleet provision` makes it") from error
    return Place(
        dead,
        requests,
        Store(s3, config.storage.input_bucket),
        Store(s3, config.storage.output_bucket),
        MoveTasks(sqs, dead.arn(), requests.arn()),
    )


def list_letters(arguments: argparse.Namespace) -> int:
    """Print one row per dead letter."""
    from visionfleet.dead_letters.inspect import Sample

    there = place(loaded(arguments).config)
    counts = there.dead.counts()
    about = counts.visible + counts.in_flight
    with Sample(there.dead) as sample:
        rows = [row(each, there.results) for each in sample.letters(arguments.limit)]
    rows.sort(key=lambda row: str(row["first_sent"]))
    if arguments.json:
        print(json.dumps({"about": about, "letters": rows}))
        return 0
    if rows:
        _print_table(rows)
    print(f"{len(rows)} shown of about {about} dead letters.")
    if len(rows) < about:
        print("SQS shows a sample, and none that another has in hand.", file=sys.stderr)
    return 0


def row(each: "DeadLetter", results: "Store") -> dict[str, object]:
    """Say the most important of one letter."""
    from visionfleet.dead_letters.inspect import reason, result

    return {
        "message_id": each.message_id,
        "job": each.job,
        "file_name": each.request.file_name if each.request else "",
        "first_sent": moment(each.letter.sent_at),
        "received": each.letter.message.receive_count,
        "reason": reason(each, result(each, results)),
    }


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    columns = ("message id", "job", "file", "first sent", "received", "reason")
    made = Table(*columns, box=None, pad_edge=False)
    for each in rows:
        cells = ("" if value is None else visible(str(value)) for value in each.values())
        made.add_row(*(Text(cell) for cell in cells))
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, highlight=False).print(made)


def show(arguments: argparse.Namespace) -> int:
    """Print one letter, found by its message id or by its job."""
    from visionfleet.dead_letters.inspect import Sample

    there, which = place(loaded(arguments).config), arguments.which
    with Sample(there.dead) as sample:
        found = (each for each in sample.letters() if which in (each.message_id, each.job))
        each = next(found, None)
        if each is None:
            raise NotFound(f"{which} is not among the dead letters that SQS shows now")
        document = described(each, there)
    if arguments.json:
        print(json.dumps(document))
        return 0
    for name, value in document.items():
        print(f"{name}: {visible(value if isinstance(value, str) else json.dumps(value))}")
    return 0


def described(each: "DeadLetter", there: Place) -> dict[str, Any]:
    """Say all of one letter."""
    from visionfleet.dead_letters.inspect import result

    letter, answer = each.letter, result(each, there.results)
    exists = None if each.request is None else there.uploads.exists(each.request.key)
    return {
        **row(each, there.results),
        "first_received": moment(letter.first_received_at),
        "attributes": dict(letter.attributes),
        "fault": each.fault or None,
        "result": None if answer is None else answer.model_dump(mode="json"),
        "image": each.request.key if each.request else None,
        "image_exists": exists,
        "body": letter.message.body,
    }


def redrive(arguments: argparse.Namespace) -> int:
    """Move by a task where SQS can, by hand where it cannot or may not choose."""
    there = place(loaded(arguments).config)
    if arguments.limit or arguments.only_decodable:
        return _by_hand(there, arguments, "letters are chosen")
    try:
        before = there.tasks.latest()
        under_way = before is not None and before.running
        if not under_way:
            there.tasks.start(arguments.rate)
    except VisionfleetError as error:
        return _by_hand(there, arguments, str(error))
    print("A move task is under way already; this follows it." if under_way else "SQS moves them.")
    return _follow(there, None if under_way else before)


def _follow(there: Place, before: "Move | None") -> int:
    from visionfleet.dead_letters.redrive import by_task

    moved = -1
    for move in by_task(there.tasks, before, time.sleep):
        if move.moved != moved or not move.running:
            total = "" if move.to_move is None else f" of about {move.to_move}"
            print(f"{move.status.lower()}: {move.moved}{total} moved", flush=True)
        moved = move.moved
    return 0


def _by_hand(there: Place, arguments: argparse.Namespace, why: str) -> int:
    from visionfleet.dead_letters.redrive import ByHand, Pace

    print(f"Moving one by one: {why}", flush=True)
    pace = Pace(arguments.rate, time.monotonic, time.sleep)
    mover = ByHand(there.dead, there.requests, pace, arguments.only_decodable)
    moved = 0
    try:
        with closing(mover.run(arguments.limit)) as moving:
            for _ in counted(moving):
                moved += 1
    finally:
        counts = there.dead.counts()
        left = counts.visible + counts.in_flight
        print(f"{moved} moved, about {left} dead letters left.", flush=True)
    return 0


def counted(moving: "Iterator[DeadLetter]") -> "Iterator[DeadLetter]":
    """Count on a bar when a person looks."""
    from visionfleet.cli.progress import tracked

    return tracked(moving, "moved", None)


def moment(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def visible(text: str) -> str:
    """Escape what a terminal would obey: names and bodies are a stranger's."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
