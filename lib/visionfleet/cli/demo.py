"""`visionfleet demo`: the whole service for a few minutes, images through it, and what came out."""

import argparse
import os
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from visionfleet.cli.options import Subparsers, add_config, command, printable, whole
from visionfleet.cli.up import add_place, place_of, say
from visionfleet.errors import GiveUp, VisionfleetError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from visionfleet.cli.client import Answer, Client
    from visionfleet.cli.snapshot import Observer
    from visionfleet.config import Config

SEED = 20
PARALLEL = 32
SAMPLE_ROWS = 12
SAMPLE_SECONDS = 0.25
ZERO_SECONDS = 60.0  # on top of the settings, for the fleet to leave
_CHART_WIDTH, _CHART_HEIGHT, _LABELS_SHOWN = 60, 4, 4


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(subparsers, "demo", "run the service on free ports and show it at work", run)
    add_config(parser)
    add_place(parser)
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="images to classify; default: crops of the photos that scikit-image ships",
    )
    parser.add_argument(
        "--count", type=whole(1, 100000), default=300, help="crops to make; default: %(default)s"
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """One image of the demonstration; `group` is the photo or the folder it came from."""

    group: str
    name: str
    data: bytes | Path

    def read(self) -> bytes:
        """Read it whole."""
        return self.data if isinstance(self.data, bytes) else self.data.read_bytes()


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at a moment, in seconds from the start."""

    at: float
    workers: int
    queue: int


def run(arguments: argparse.Namespace) -> int:
    """Start, upload, show, wait for zero workers, stop; 0 when every image got a label."""
    from visionfleet.config import load
    from visionfleet.local.stack import running

    _interrupt_on_signals()
    pieces = list(_pieces(arguments))
    with ExitStack() as last:
        folder = Path(last.enter_context(tempfile.TemporaryDirectory(prefix="visionfleet-")))
        environment = own_environment(folder)
        loaded = load(arguments.config, {**os.environ, **environment})
        arguments.var = folder
        place = place_of(arguments, loaded.files[0])
        say("starting ...")
        stack = last.enter_context(running(loaded.config, place, environment))
        stack.wait_until_ready(threading.Event())
        return _show(loaded.config, stack.url, pieces)


def own_environment(folder: Path) -> dict[str, str]:
    """Settings that keep clear of another stack on this machine."""
    web, aws = _free_ports(2)
    return {
        "VISIONFLEET_WEB__PORT": str(web),
        "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{aws}",
        "VISIONFLEET_SUPERVISOR__SOCKET": str(folder / "s.sock"),
    }


def _show(config: "Config", url: str, pieces: Sequence[Piece]) -> int:
    from rich.console import Console

    from visionfleet.cli.client import Client
    from visionfleet.cli.snapshot import Observer

    console = Console(highlight=False)
    observer = Observer(config)
    client = Client(url, PARALLEL, threading.Event())
    with sampling(observer) as samples:
        started = time.monotonic()
        answers = list(_uploaded(client, pieces))
        seconds = time.monotonic() - started
        console.print("", groups_table(pieces, answers), "", _samples_table(answers), "", sep="\n")
        rate = len(answers) / seconds
        console.print(f"{len(answers)} images in {seconds:.1f} s: {rate:.1f} images/s\n")
        gone = _wait_for_zero(observer, config)
    for line in chart(samples):
        console.print(line)
    failed = sum(answer.problem is not None for answer in answers)
    say(f"{failed} of {len(answers)} images got no label" if failed else "every image got a label")
    return 1 if failed or not gone else 0


def _uploaded(client: "Client", pieces: Sequence[Piece]) -> Iterator["Answer"]:
    from visionfleet.cli.client import Answer, in_parallel
    from visionfleet.cli.progress import tracked

    def classify(piece: Piece) -> Answer:
        try:
            return client.classify(piece.name, piece.read(), 5, 300.0)
        except OSError as error:
            return Answer(piece.name, 0.0, problem=str(error.strerror), code="unreadable")

    yield from tracked(in_parallel(classify, pieces, PARALLEL), "classifying", len(pieces))


@contextmanager
def sampling(observer: "Observer") -> Iterator[list[Sample]]:
    """Note the fleet's size while the with block runs; the value grows meanwhile."""
    samples: list[Sample] = []
    stop = threading.Event()
    started = time.monotonic()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            with suppress(VisionfleetError):
                look = observer.look()
                workers = sum(look.status.states.values()) if look.status else 0
                queue = look.counts.visible + look.counts.in_flight
                samples.append(Sample(time.monotonic() - started, workers, queue))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def _wait_for_zero(observer: "Observer", config: "Config") -> bool:
    """Wait until the scaler reports an empty queue and no worker."""
    say("waiting until the workers have gone ...")
    settings = config.scaler
    deadline = time.monotonic() + settings.hold_seconds + settings.paid_seconds + ZERO_SECONDS
    while time.monotonic() < deadline:
        status = observer.status()
        if status is not None and not sum(status.states.values()) and not status.visible:
            say("the fleet is at zero again")
            return True
        time.sleep(SAMPLE_SECONDS)
    say("there are still workers")
    return False


def groups_table(pieces: Sequence[Piece], answers: Iterable["Answer"]) -> "Table":
    """Count the labels of each photo or folder, the most frequent first."""
    from rich.table import Table
    from rich.text import Text

    group_of = {piece.name: piece.group for piece in pieces}
    counts: dict[str, Counter[str]] = {}
    for answer in answers:
        labels = counts.setdefault(group_of[answer.file], Counter())
        labels[answer.guess or f"({answer.code})"] += 1
    made = Table("images of", "number", "labels", box=None, pad_edge=False)
    for group, labels in sorted(counts.items()):
        shown = [f"{label} {count}" for label, count in labels.most_common(_LABELS_SHOWN)]
        rest = ", ..." if len(labels) > len(shown) else ""
        made.add_row(Text(group), str(labels.total()), Text(", ".join(shown) + rest))
    return made


def _samples_table(answers: Sequence["Answer"]) -> "Table":
    from visionfleet.cli.classify import table

    by_name = sorted(answers, key=lambda answer: answer.file)
    return table(by_name[:: max(1, len(by_name) // SAMPLE_ROWS)][:SAMPLE_ROWS])


def chart(samples: Sequence[Sample]) -> Iterator["Text"]:
    """Draw the workers and the queue over time."""
    from rich.text import Text

    from visionfleet.local.chart import bars, squeezed

    until = samples[-1].at if samples else 1.0
    series = {
        ("workers", "green"): [(s.at, float(s.workers)) for s in samples],
        ("queue", "cyan"): [(s.at, float(s.queue)) for s in samples],
    }
    for (name, colour), values in series.items():
        most = max((value for _, value in values), default=0.0)
        yield Text(f"\n{name}, at most {most:.0f}")
        columns = squeezed(values, _CHART_WIDTH, until)
        yield from (Text(f"  {line}", colour) for line in bars(columns, _CHART_HEIGHT))
        yield Text(f"  {'0 s':<{_CHART_WIDTH // 2}}{f'{until:.0f} s':>{_CHART_WIDTH // 2}}")


def _pieces(arguments: argparse.Namespace) -> Iterator[Piece]:
    """Find the images given, or make crops of the photos at hand."""
    from visionfleet.cli.classify import sources
    from visionfleet.local.crops import crops, shipped_photos

    if arguments.images is not None:
        found = [s for s in sources([str(arguments.images)]) if s.path and s.path.is_file()]
        if not found:
            raise GiveUp(f"there are no images in {arguments.images}")
        yield from (Piece(printable(s.path.parent.name), s.name, s.path) for s in found if s.path)
        return
    photos = shipped_photos()
    if not photos:
        raise GiveUp("no photos at hand: pip install 'visionfleet[local]', or give --images FOLDER")
    yield from (Piece(c.photo, c.name, c.data) for c in crops(photos, arguments.count, SEED))


def _free_ports(count: int) -> list[int]:
    """Find free ports of the loopback; all are held until the last is found."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _interrupt_on_signals() -> None:
    """Take TERM and HUP for Ctrl-C: a demonstration has nothing to finish."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handle)
