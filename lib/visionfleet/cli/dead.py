"""`visionfleet dead`: list, show and redrive the requests that failed too often."""

import argparse
import json
import sys
import time
from contextlib import closing
from typing import Any

from rich.table import Column
from rich.text import Text

from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs_move_tasks import Move, MoveTasks
from visionfleet.cli import terminal
from visionfleet.cli.fleet_snapshot import Deployment
from visionfleet.cli.options import Subparsers, add_config, command, loaded, whole
from visionfleet.cli.parser import Parser
from visionfleet.dead_letters.inspect import DeadLetter, DeadLetterSample, reason, result
from visionfleet.dead_letters.redrive import MoveOneByOne, Throttle, by_task
from visionfleet.errors import NotFound, VisionfleetError

MAXIMUM_PER_SECOND = 500  # SQS's limit of a move task

REDRIVE = """
Move dead letters back to the request queue, where workers try them again.

Without --limit and --only-decodable SQS itself moves them, in a message move task. The task
continues if this command is interrupted; run again, the command follows it. Where SQS has no such
task (the embedded AWS), or with these options, messages are moved one by one: each is sent before
it is deleted, so none is lost. One may be sent twice if the command is interrupted, which does no
harm. Requests that cannot be decoded become dead letters again.

A moved job is tried again from the first attempt. A failed result with the code gave_up stays
until a new result replaces it. Any other result is final: the job is answered from it.
"""


def add_arguments(parser: Parser) -> None:
    below = parser.add_subparsers(required=True, metavar="WHAT")
    some = command(below, "list", "list dead letters with the reason for each", list_dead)
    some.add_argument("--limit", type=whole(1, 10**6), default=100, help="default: %(default)s")
    one = command(below, "show", "show the details of one dead letter", show)
    one.add_argument("which", metavar="MESSAGE_ID_OR_JOB")
    for parser in (some, one):
        parser.flag("--json", "print it as JSON")
    _add_redrive(below)
    for parser in below.choices.values():
        add_config(parser)


def _add_redrive(below: Subparsers) -> None:
    parser = command(below, "redrive", "move dead letters back to the request queue", redrive)
    parser.description = REDRIVE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--rate", type=whole(1, MAXIMUM_PER_SECOND), metavar="PER_SECOND", help="default: no limit"
    )
    parser.add_argument("--limit", type=whole(1, 10**9), metavar="N", help="move at most N")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only-decodable", action="store_true", help="skip those that no worker can decode"
    )
    which.add_argument(
        "--all", dest="only_decodable", action="store_false", help="move all; the default"
    )


def list_dead(arguments: argparse.Namespace) -> int:
    deployment = Deployment(loaded(arguments).config)
    about = deployment.dead_letters()
    with DeadLetterSample(deployment.dead) as sample:
        rows = [_row(each, deployment.results) for each in sample.dead_letters(arguments.limit)]
    rows.sort(key=lambda row: str(row["first_sent"]))
    if arguments.json:
        print(json.dumps({"about": about, "letters": rows}))
        return 0
    if rows:
        _print_table(rows)
    print(f"{len(rows)} shown of about {about} dead letters.")
    if len(rows) < about:
        print("SQS shows a sample, and none that another has in flight.", file=sys.stderr)
    return 0


def _row(dead: DeadLetter, results: Store) -> dict[str, object]:
    return {
        "message_id": dead.message_id,
        "job": dead.job,
        "file_name": dead.request.file_name if dead.request else "",
        "first_sent": terminal.utc(dead.delivery.sent_at),
        "received": dead.delivery.message.receive_count,
        "reason": reason(dead, result(dead, results)),
    }


def _print_table(rows: list[dict[str, object]]) -> None:
    """The first column is the id for `dead show`; the reason gets the remaining width."""
    whole_words = (Column(name, no_wrap=True) for name in ("job or message id", "sent", "received"))
    table = terminal.table(*whole_words, Column("file: reason", overflow="fold"))
    for row in rows:
        sent = str(row["first_sent"])[5:16].replace("T", " ")  # month to minute
        why = f"{row['file_name'] or '?'}: {row['reason']}"
        cells = (row["job"] or row["message_id"], sent, row["received"], why)
        table.add_row(*(Text(terminal.escaped(str(cell))) for cell in cells))
    terminal.show(table)


def show(arguments: argparse.Namespace) -> int:
    deployment, which = Deployment(loaded(arguments).config), arguments.which
    with DeadLetterSample(deployment.dead) as sample:
        found = (each for each in sample.dead_letters() if which in (each.message_id, each.job))
        dead = next(found, None)
        if dead is None:
            raise NotFound(f"{which} is not among the dead letters that SQS shows now")
        document = _described(dead, deployment)
    if arguments.json:
        print(json.dumps(document))
        return 0
    for name, value in document.items():
        text = value if isinstance(value, str) else json.dumps(value)
        print(f"{name}: {terminal.escaped(text)}")
    return 0


def _described(dead: DeadLetter, deployment: Deployment) -> dict[str, Any]:
    answer, request = result(dead, deployment.results), dead.request
    return {
        **_row(dead, deployment.results),
        "first_received": terminal.utc(dead.delivery.first_received_at),
        "attributes": dict(dead.delivery.attributes),
        "fault": dead.fault or None,
        "result": None if answer is None else answer.model_dump(mode="json"),
        "image": request.key if request else None,
        "image_exists": deployment.uploads.exists(request.key) if request else None,
        "body": dead.delivery.message.body,
    }


def redrive(arguments: argparse.Namespace) -> int:
    deployment = Deployment(loaded(arguments).config)
    if arguments.limit or arguments.only_decodable:
        return _one_by_one(deployment, arguments, "dead letters are chosen")
    try:
        tasks = deployment.move_tasks()
        before = tasks.latest()
        under_way = before is not None and before.running
        if not under_way:
            tasks.start(arguments.rate)
    except VisionfleetError as error:
        return _one_by_one(deployment, arguments, f"SQS does not do it itself ({error})")
    print("A move task is under way already; this follows it." if under_way else "SQS moves them.")
    return _follow(tasks, None if under_way else before)


def _follow(tasks: MoveTasks, before: Move | None) -> int:
    moved = -1
    for move in by_task(tasks, before, time.sleep):
        if move.moved != moved or not move.running:
            total = "" if move.to_move is None else f" of about {move.to_move}"
            print(f"{move.status.lower()}: {move.moved}{total} moved", flush=True)
        moved = move.moved
    return 0


def _one_by_one(deployment: Deployment, arguments: argparse.Namespace, why: str) -> int:
    print(f"Moving one by one: {why}", flush=True)
    throttle = Throttle(arguments.rate, time.monotonic, time.sleep)
    mover = MoveOneByOne(deployment.dead, deployment.requests, throttle, arguments.only_decodable)
    moved = 0
    try:
        with closing(mover.run(arguments.limit)) as moving:
            for _ in terminal.tracked(moving, "moved", None):
                moved += 1
    finally:
        print(f"{moved} moved, about {deployment.dead_letters()} dead letters left.", flush=True)
    return 0
