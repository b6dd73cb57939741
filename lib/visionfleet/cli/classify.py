"""`visionfleet classify`: images from files, folders or standard input, as a client over HTTP."""

import argparse
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from visionfleet.cli.options import Subparsers, command, printable, seconds, whole
from visionfleet.errors import BadKeys

if TYPE_CHECKING:
    from rich.table import Table

    from visionfleet.cli.client import Answer

EXTENSIONS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
STDIN = "-"
_WIDE = 10_000  # columns; into a pipe, names are never shortened


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(subparsers, "classify", "classify images over HTTP", run)
    parser.add_argument(
        "image", nargs="+", help="a file, a folder (all images below it), or - for standard input"
    )
    parser.add_argument(
        "--url", default="http://127.0.0.1:8080", help="the web daemon; default: %(default)s"
    )
    parser.add_argument(
        "--key-file", type=Path, metavar="PATH", help="file with the API key, if one is asked for"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, as done")
    parser.add_argument(
        "--top", type=whole(1, 1000), default=5, help="classes in the JSON; default: %(default)s"
    )
    parser.add_argument(
        "--parallel", type=whole(1, 256), default=8, help="at the same time; default: %(default)s"
    )
    parser.add_argument(
        "--wait",
        type=seconds(0, 86400),
        default=300.0,
        metavar="SECONDS",
        help="longest wait for one answer; default: %(default)g",
    )


def run(arguments: argparse.Namespace) -> int:
    """Classify everything; the status is 1 when any image has no label."""
    stop = threading.Event()
    try:
        answers = list(_classified(arguments, list(sources(arguments.image)), stop))
    finally:
        stop.set()
    if not arguments.json:
        show_table(answers, sys.stdout)
    return 1 if any(answer.problem for answer in answers) else 0


def _key(path: Path | None) -> str | None:
    """Read the key; on the command line every user of the machine could see it."""
    try:
        return None if path is None else path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"{path}: {error}") from error


@dataclass(frozen=True, slots=True)
class Source:
    """One image to be: its name as shown, and where to read it; None means standard input."""

    name: str
    path: Path | None

    def read(self) -> bytes:
        """Read it whole."""
        return sys.stdin.buffer.read() if self.path is None else self.path.read_bytes()


def sources(names: Iterable[str]) -> Iterator[Source]:
    """Find what the arguments name; folders are searched for images, sorted by name."""
    for name in names:
        path = Path(name)
        if name == STDIN:
            yield Source("stdin", None)
        elif path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            yield from (Source(printable(str(p)), p) for p in found if p.is_file())
        else:
            yield Source(printable(name), path)


def _classified(
    arguments: argparse.Namespace, found: list[Source], stop: threading.Event
) -> Iterator["Answer"]:
    from visionfleet.cli.client import Answer, Client, in_parallel
    from visionfleet.cli.progress import tracked

    client = Client(arguments.url, arguments.parallel, stop, _key(arguments.key_file))

    def classify(source: Source) -> Answer:
        try:
            data = source.read()
        except OSError as error:
            return Answer(source.name, 0.0, problem=str(error.strerror), code="unreadable")
        return client.classify(source.name, data, arguments.top, arguments.wait)

    if not found:
        yield Answer(" ".join(arguments.image), 0.0, problem="no images there", code="no_images")
    answers = in_parallel(classify, found, arguments.parallel)
    for answer in tracked(answers, "classifying", len(found)):
        if arguments.json:
            print(json_line(answer), flush=True)
        yield answer


def json_line(answer: "Answer") -> str:
    """Write an answer as one line of JSON."""
    values: dict[str, object] = {"file": answer.file}
    if answer.problem is None:
        values |= {"label": answer.label, "score": answer.score, "top": answer.top}
        values |= {"reason": answer.reason} if answer.reason else {}
    else:
        values |= {"problem": answer.problem, "code": answer.code}
    return json.dumps(values | {"job": answer.job, "seconds": round(answer.seconds, 3)})


def show_table(answers: Iterable["Answer"], stream: TextIO) -> None:
    """Print a table in the order of the files' names."""
    from rich.console import Console

    console = Console(file=stream, width=None if stream.isatty() else _WIDE)
    console.print(table(sorted(answers, key=lambda answer: answer.file)))


def table(answers: Iterable["Answer"]) -> "Table":
    """Lay answers out; what has no label shows its problem there."""
    from rich.table import Column, Table
    from rich.text import Text

    file = Column("file", overflow="fold")  # the end of a path tells most
    made = Table(file, "label", "score", "seconds", box=None, pad_edge=False)
    for answer in answers:
        label = Text(answer.guess) if answer.problem is None else Text(answer.problem, "red")
        score = "" if answer.score is None else f"{answer.score:.3f}"
        made.add_row(Text(answer.file), label, score, f"{answer.seconds:.2f}")
    return made
