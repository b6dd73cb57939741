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
from itertools import pairwise
from math import inf
from pathlib import Path

from rich.table import Table
from rich.text import Text

from visionfleet.cli import terminal
from visionfleet.cli.classify import InputImage, classified, images_in, table
from visionfleet.cli.client import Answer, Client
from visionfleet.cli.fleet_snapshot import Deployment
from visionfleet.cli.options import add_config, config_path, whole
from visionfleet.cli.parser import Parser
from visionfleet.cli.up import add_file_options, stack_files
from visionfleet.config import Config, load
from visionfleet.errors import GiveUp, VisionfleetError
from visionfleet.local.sample_images import sample_images, shipped_photos
from visionfleet.local.stack import running
from visionfleet.scaler.cooldown import LONGEST

SEED = 20
PARALLEL = 32
SAMPLE_ROWS = 12
SAMPLE_SECONDS = 0.25
ZERO_SECONDS = 60.0  # beyond the settings, for the fleet to reach zero
_CHART_WIDTH, _CHART_HEIGHT, _LABELS_SHOWN = 60, 4, 4
_EIGHTHS = " ▁▂▃▄▅▆▇█"


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    add_file_options(parser)
    parser.path(
        "--images",
        "FOLDER",
        "images to classify; default: crops of the photos that scikit-image ships",
    )
    parser.number("--count", whole(1, 100000), 300, "crops to make")


@dataclass(frozen=True, slots=True)
class FleetSize:
    at: float
    workers: int
    queue: int


def run(arguments: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: nothing to clean up
        signal.signal(number, signal.default_int_handler)
    found = _images(arguments)
    with ExitStack() as last:
        folder = Path(last.enter_context(tempfile.TemporaryDirectory(prefix="visionfleet-")))
        environment = _own_environment(folder)
        loaded = load(config_path(arguments.config, os.environ), {**os.environ, **environment})
        arguments.var = folder
        files = stack_files(arguments, loaded)
        terminal.say("starting ...")
        stack = last.enter_context(running(loaded.config, files, environment))
        stack.wait_until_ready(threading.Event())
        return _show(loaded.config, stack.url, found)


def _own_environment(folder: Path) -> dict[str, str]:
    web, aws = _free_ports(2)
    return {
        "VISIONFLEET_WEB__PORT": str(web),
        "VISIONFLEET_AWS__ENDPOINT_URL": f"http://127.0.0.1:{aws}",
        "VISIONFLEET_SUPERVISOR__SOCKET": str(folder / "s.sock"),
    }


def _show(config: Config, url: str, found: Sequence[InputImage]) -> int:
    deployment = Deployment(config)
    client = Client(url, PARALLEL, threading.Event())
    with _sampling(deployment) as sizes:
        started = time.monotonic()
        answers = list(classified(client, found, 5, 300.0, PARALLEL))
        seconds = time.monotonic() - started
        by_name = sorted(answers, key=lambda answer: answer.file)
        some = by_name[:: max(1, len(by_name) // SAMPLE_ROWS)][:SAMPLE_ROWS]
        rate = f"{len(answers)} images in {seconds:.1f} s: {len(answers) / seconds:.1f} images/s\n"
        terminal.show("", groups_table(found, answers), "", table(some), "", rate)
        gone = _wait_for_zero(deployment, config)
    terminal.show(*chart(sizes))
    failed = sum(answer.problem is not None for answer in answers)
    terminal.say(
        f"{failed} of {len(answers)} images got no label" if failed else "every image got a label"
    )
    return 1 if failed or not gone else 0


@contextmanager
def _sampling(deployment: Deployment) -> Iterator[list[FleetSize]]:
    sizes: list[FleetSize] = []
    stop = threading.Event()
    started = time.monotonic()

    def sample() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            with suppress(VisionfleetError):
                seen = deployment.snapshot()
                workers = sum(seen.status.states.values()) if seen.status else 0
                queue = seen.counts.visible + seen.counts.in_flight
                sizes.append(FleetSize(time.monotonic() - started, workers, queue))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield sizes
    finally:
        stop.set()
        thread.join()


def _wait_for_zero(deployment: Deployment, config: Config) -> bool:
    terminal.say("waiting until the workers have gone ...")
    settings = config.scaler
    longest = LONGEST * settings.hold_seconds + settings.paid_seconds + ZERO_SECONDS
    deadline = time.monotonic() + longest
    while time.monotonic() < deadline:
        status = deployment.status()
        if status is not None and not sum(status.states.values()) and not status.visible:
            terminal.say("the fleet is at zero again")
            return True
        time.sleep(SAMPLE_SECONDS)
    terminal.say("there are still workers")
    return False


def groups_table(found: Sequence[InputImage], answers: Iterable[Answer]) -> Table:
    group_of = {image.name: image.group for image in found}
    counts: dict[str, Counter[str]] = {}
    for answer in answers:
        labels = counts.setdefault(group_of[answer.file], Counter())
        labels[answer.guess or f"({answer.code})"] += 1
    made = terminal.table("images of", "number", "labels")
    for group, labels in sorted(counts.items()):
        shown = [f"{label} {count}" for label, count in labels.most_common(_LABELS_SHOWN)]
        rest = ", ..." if len(labels) > len(shown) else ""
        made.add_row(Text(group), str(labels.total()), Text(", ".join(shown) + rest))
    return made


def chart(sizes: Sequence[FleetSize]) -> Iterator[Text]:
    until = sizes[-1].at if sizes else 1.0
    series = {
        ("workers", "green"): [(size.at, float(size.workers)) for size in sizes],
        ("queue", "cyan"): [(size.at, float(size.queue)) for size in sizes],
    }
    for (name, colour), values in series.items():
        highest = max((value for _, value in values), default=0.0)
        yield Text(f"\n{name}, at most {highest:.0f}")
        lines = bars(columns(values, _CHART_WIDTH, until), _CHART_HEIGHT)
        yield from (Text(f"  {line}", colour) for line in lines)
        yield Text(f"  {'0 s':<{_CHART_WIDTH // 2}}{f'{until:.0f} s':>{_CHART_WIDTH // 2}}")


def bars(values: Sequence[float], height: int) -> list[str]:
    """Draw values as columns in `height` lines, top first; the maximum is full height."""
    greatest = max(values, default=0)
    filled = [round(value / greatest * height * 8) if greatest else 0 for value in values]
    return [
        "".join(_EIGHTHS[max(0, min(8, eighths - 8 * line))] for eighths in filled)
        for line in reversed(range(height))
    ]


def columns(values: Sequence[tuple[float, float]], width: int, until: float) -> list[float]:
    """For each of `width` columns up to `until`, its highest sample, or the previous one."""
    found: list[float] = []
    last = 0.0
    ends = [until * column / width for column in range(1, width)]
    for start, end in pairwise([-inf, *ends, inf]):
        spanned = [value for second, value in values if start < second <= end]
        found.append(max(spanned, default=last))
        last = spanned[-1] if spanned else last
    return found


def _images(arguments: argparse.Namespace) -> list[InputImage]:
    if arguments.images is not None:
        return images_in(arguments.images)
    photos = shipped_photos()
    if not photos:
        raise GiveUp("no photos at hand: pip install 'visionfleet[local]', or give --images FOLDER")
    made = enumerate(sample_images(photos, arguments.count, SEED))
    return [InputImage(f"{photo}_{i:04d}.jpg", data, photo) for i, (photo, data) in made]


def _free_ports(count: int) -> list[int]:
    """Find free loopback ports; all are held until the last is found."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
