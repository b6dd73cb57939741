"""`visionfleet load`: images at a rate that does not wait for answers, and how long those take."""

import argparse
import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from multiprocessing.pool import ThreadPool
from random import Random
from typing import Any

from visionfleet.cli import plots, terminal
from visionfleet.cli.classify import photos
from visionfleet.cli.client import Client
from visionfleet.cli.options import (
    add_key,
    api_key,
    check_writable,
    number,
    seconds,
    web_url,
    whole,
)
from visionfleet.cli.parser import Parser
from visionfleet.measurement import arrivals
from visionfleet.measurement.latencies import Sample, Summary, summary


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "url", type=web_url, metavar="URL", help="the web daemon, such as http://127.0.0.1:8080"
    )
    parser.add_argument(
        *("--rate", "-r"),
        type=number("images a second", 0.01, 10_000),
        default=5.0,
        help="images per second; default: %(default)g",
    )
    parser.number("--seconds", seconds(0.1, 86400), 30.0, "duration")
    parser.add_argument(
        "--arrivals",
        choices=("poisson", "even"),
        default="poisson",
        help="distribution of the arrivals; default: %(default)s",
    )
    parser.add_argument(
        "--seed", type=whole(0, 2**31), default=1, help="random seed of times and images"
    )
    _add_more(parser)


def _add_more(parser: Parser) -> None:
    parser.path("--images", "PATH", "a file or folder; default: four photos of the package")
    add_key(parser)
    parser.number("--wait", seconds(0, 86400), 60.0, "maximum wait for an answer")
    parser.number(
        "--parallel", whole(1, 4096), 256, "maximum of images waited for at the same time"
    )
    parser.flag("--json", "print figures as JSON")
    parser.plot("latencies over time")


def run(arguments: argparse.Namespace) -> int:
    check_writable(arguments.plot)
    drawn = plots.figure() if arguments.plot else None
    stop = threading.Event()
    files = [(path.name, path.read_bytes()) for path in photos(arguments.images)]
    client = Client(arguments.url, arguments.parallel, stop, api_key(arguments), patient=False)
    examples: dict[str, str] = {}
    try:
        samples = _loaded(arguments, client, files, examples)
    finally:
        stop.set()
    found = summary(samples)
    if arguments.json:
        print(json.dumps({**_asked(arguments), **asdict(found)}, indent=2))
    else:
        _print(found, examples)
    if found.late:
        terminal.say(f"{found.late} of {found.sent} images left late: give it more --parallel")
    if drawn is not None:
        _plot(drawn, samples, arguments)
    return 1 if found.errors or not found.sent else 0


def _loaded(
    arguments: argparse.Namespace,
    client: Client,
    files: Sequence[tuple[str, bytes]],
    examples: dict[str, str],
) -> list[Sample]:
    """Send each image when it is due, whether earlier ones are answered or not.

    `examples` gets one sentence for each kind of error.
    """
    random, started = Random(arguments.seed), time.monotonic()

    def ask(at: float, name: str, data: bytes) -> Sample:
        late = time.monotonic() - started - at
        answer = client.classify(name, data, 1, arguments.wait)
        error = answer.code if answer.problem else None
        if error and answer.problem:
            examples.setdefault(error, answer.problem)
        return Sample(at, late + answer.seconds, error, late)

    # When interrupted, do not wait for pending calls: a pool's threads are not joined.
    with ThreadPool(arguments.parallel) as pool:
        waited_for = []
        total = int(arguments.rate * arguments.seconds)
        for at in terminal.tracked(_due(arguments, random), "sending", total):
            time.sleep(max(0.0, started + at - time.monotonic()))
            waited_for.append(pool.apply_async(ask, (at, *random.choice(files))))
        return [sample.get() for sample in waited_for]


def _due(arguments: argparse.Namespace, random: Random) -> Iterable[float]:
    if arguments.arrivals == "even":
        return arrivals.evenly(arguments.rate, arguments.seconds)
    return arrivals.poisson(arguments.rate, arguments.seconds, random)


def _asked(arguments: argparse.Namespace) -> dict[str, object]:
    return {name: getattr(arguments, name) for name in ("rate", "seconds", "arrivals", "seed")}


def _print(found: Summary, examples: Mapping[str, str]) -> None:
    made = terminal.table("images", "answered", "errors", "images/s", *found.latencies)
    errors = found.sent - found.answered
    latencies = [f"{value:.3f} s" for value in found.latencies.values()]
    made.add_row(
        *(str(count) for count in (found.sent, found.answered, errors)),
        f"{found.images_per_second:.1f}",
        *latencies,
    )
    terminal.show(made)
    for code, count in found.errors.items():
        terminal.show(f"{count} x {code}: {examples[code]}")


def _plot(drawn: Any, samples: Sequence[Sample], arguments: argparse.Namespace) -> None:
    axes = drawn.subplots()
    for name, failed in (("answered", False), ("failed", True)):
        some = [sample for sample in samples if (sample.error is not None) == failed]
        if some:
            axes.plot([s.at for s in some], [s.seconds for s in some], ".", label=name)
    axes.set(xlabel="seconds since the start", ylabel="latency in seconds")
    axes.set_title(f"{arguments.rate:g} images/s, {arguments.arrivals}: {arguments.url}")
    axes.set_ylim(bottom=0)
    axes.legend()
    plots.write(drawn, arguments.plot)
