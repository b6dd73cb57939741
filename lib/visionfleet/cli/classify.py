"""`visionfleet classify`: images from files, folders or standard input, as a client over HTTP."""

import argparse
import json
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path

from rich.table import Column, Table
from rich.text import Text

import visionfleet
from visionfleet.cli import terminal
from visionfleet.cli.client import Answer, Client
from visionfleet.cli.options import add_key, api_key, seconds, web_url, whole
from visionfleet.cli.parser import Parser, given_path
from visionfleet.errors import GiveUp
from visionfleet.evaluation.datasets import SUFFIXES

STDIN = Path("-")
_PHOTOS = Path(visionfleet.__file__).parent / "model/photos"


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "image",
        type=given_path,
        nargs="+",
        help="a file, a folder (all images below it, hidden ones aside), or - for standard input",
    )
    parser.add_argument(
        "--url",
        type=web_url,
        default="http://127.0.0.1:8080",
        help="the web daemon; default: %(default)s",
    )
    add_key(parser)
    parser.flag("--json", "print one JSON object per line, as results come")
    parser.add_argument(
        "--top", type=whole(1, 1000), help="classes per image; default: 1, in the JSON 5"
    )
    parser.number("--parallel", whole(1, 256), 8, "requests at the same time")
    parser.number("--wait", seconds(0, 86400), 300.0, "maximum wait for one answer", "SECONDS")


@dataclass(frozen=True, slots=True)
class InputImage:
    """Name as shown, data or path (None: standard input), folder."""

    name: str
    content: bytes | Path | None
    group: str = ""

    def read(self) -> bytes:
        if isinstance(self.content, Path):
            return self.content.read_bytes()
        return sys.stdin.buffer.read() if self.content is None else self.content


def run(arguments: argparse.Namespace) -> int:
    stop, found = threading.Event(), list(images(arguments.image))
    client = Client(arguments.url, arguments.parallel, stop, api_key(arguments))
    top = arguments.top or (5 if arguments.json else 1)
    answers: list[Answer] = []
    if not found:
        nothing = " ".join(map(str, arguments.image))
        answers.append(Answer(nothing, 0.0, problem="no images there", code="no_images"))
    try:
        for answer in classified(client, found, top, arguments.wait, arguments.parallel):
            answers.append(answer)
            if arguments.json:
                print(json_line(answer), flush=True)
    finally:
        stop.set()
    if not arguments.json:
        terminal.show(table(sorted(answers, key=lambda answer: answer.file), top))
    return 1 if any(answer.problem for answer in answers) else 0


def images(paths: Iterable[Path]) -> Iterator[InputImage]:
    for path in paths:
        if path == STDIN:
            yield InputImage("stdin", None)
        elif path.is_dir():
            yield from map(_image, sorted(filter(Path.is_file, _below(path))))
        else:
            yield _image(path)


def _below(folder: Path) -> Iterator[Path]:
    """What is named like an image; hidden are .venv, .git, and `._1.jpg` beside 1.jpg on sticks."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden:
            yield path


def images_in(path: Path) -> list[InputImage]:
    """The image files there; raises GiveUp if there are none."""
    if not path.exists():
        raise GiveUp(f"{path}: No such file or directory")
    found = [image for image in images([path]) if image.content is not None]
    if not found:
        raise GiveUp(f"there are no images in {path}")
    return found


def photos(path: Path | None) -> list[Path]:
    """The image files there, by default the package's own photos; raises GiveUp."""
    found = [image.content for image in images_in(path or _PHOTOS)]
    return [content for content in found if isinstance(content, Path)]


def _image(path: Path) -> InputImage:
    group = terminal.printable(path.parent.name)
    return InputImage(terminal.printable(str(path)), path, group)


def classified(
    client: Client, found: Sequence[InputImage], top: int, wait_seconds: float, parallel: int
) -> Iterator[Answer]:
    def classify(image: InputImage) -> Answer:
        try:
            data = image.read()
        except OSError as error:
            return Answer(image.name, 0.0, problem=str(error.strerror), code="unreadable")
        return client.classify(image.name, data, top, wait_seconds)

    # When interrupted, do not wait for pending calls: a pool's threads are not joined.
    with ThreadPool(parallel) as pool:
        answers = pool.imap_unordered(classify, found)
        yield from terminal.tracked(answers, "classifying", len(found))


def json_line(answer: Answer) -> str:
    values: dict[str, object] = {"file": answer.file}
    if answer.problem is None:
        values |= {"label": answer.label, "score": answer.score, "top": answer.top}
        values |= {"reason": answer.reason} if answer.reason else {}
    else:
        values |= {"problem": answer.problem, "code": answer.code}
    return json.dumps(values | {"job": answer.job, "seconds": round(answer.seconds, 3)})


def table(answers: Iterable[Answer], top: int = 1) -> Table:
    file = Column("file", overflow="fold")  # the end of a path matters most
    made = terminal.table(file, "label", "score", "seconds")
    for answer in answers:
        label = Text(answer.guess) if answer.problem is None else Text(answer.problem, "red")
        made.add_row(Text(answer.file), label, _score(answer.score), f"{answer.seconds:.2f}")
        shown = 0 if answer.label is None else 1  # the first is the answer itself
        for other in answer.top[shown : top if top > 1 else shown]:
            made.add_row("", Text(str(other.get("label"))), _score(other.get("score")), "")
    return made


def _score(score: object) -> str:
    return f"{score:.3f}" if isinstance(score, int | float) else ""
