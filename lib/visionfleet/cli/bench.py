"""`visionfleet bench`: which batch, threads, prefetch and workers suit the model on this host."""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import yaml

from visionfleet.cli import plots, terminal
from visionfleet.cli.classify import photos
from visionfleet.cli.options import add_config, check_writable, loaded, seconds, whole
from visionfleet.cli.parser import Parser
from visionfleet.config import Config
from visionfleet.errors import BadModel
from visionfleet.host import cpu_topology
from visionfleet.host.cpu_placement import Placement
from visionfleet.measurement.host_trials import (
    HostSettings,
    Trial,
    best,
    first_round,
    second_round,
    shapes,
    together,
)

_WARM_UP_SECONDS = 0.3


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.number(
        "--latency",
        seconds(0.001, 3600),
        1.0,
        "maximum p95 latency of an image in a worker",
        "SECONDS",
    )
    parser.number(
        "--s3-seconds", seconds(0, 60), 0.1, "time of an image's S3 transfers, for prefetch"
    )
    parser.number("--seconds", seconds(0.2, 600), 2.0, "length of each trial")
    parser.number("--batch", whole(1, 256), 32, "largest batch size to try")
    parser.path("--images", "PATH", "a file or folder; default: four photos of the package")
    parser.flag("--json", "print all figures as JSON")
    parser.plot("p95 over images per second")
    parser.path("--output", "FILE.yaml", "write the settings there; default: stdout")


def run(arguments: argparse.Namespace) -> int:
    check_writable(arguments.output, arguments.plot)
    drawn = plots.figure() if arguments.plot else None
    config = loaded(arguments).config
    names = [str(path.resolve()) for path in photos(arguments.images)]
    trials = list(_tried(config, arguments, names))
    found = best(trials, arguments.latency)
    settings = None if found is None else _settings(found, arguments.s3_seconds)
    if arguments.json:
        told = [asdict(trial) for trial in trials]
        print(json.dumps({"model": config.model.name, "trials": told, "settings": settings}))
    else:
        _print(trials, found)
    if drawn is not None:
        _plot(drawn, trials, arguments)
    if found is None:
        soonest = min(trial.p95_seconds for trial in trials)
        sooner = f"no trial kept p95 within {arguments.latency:g} s; the least was {soonest:.3f} s"
        terminal.say(sooner)
        return 1
    _write(settings, found, arguments)
    return 0


def _tried(config: Config, arguments: argparse.Namespace, names: Sequence[str]) -> Iterator[Trial]:
    # On an EC2 instance and with GPUs the number of workers is fixed.
    one = config.classifier.ec2_instance or cpu_topology.gpus() > 0
    for _, threads in shapes(len(cpu_topology.cpus()))[: 1 if one else None]:
        each = config.classifier.model_copy(update={"cpus_per_worker": threads})
        places = cpu_topology.placed(each)
        threads = len(places[0].cpus)
        terminal.say(f"workers: {len(places)}, threads of each: {threads}")
        with _workers(config, places, threads, names) as workers:
            seen = [
                _trial(workers, settings, arguments.seconds)
                for settings in first_round(len(places), threads, arguments.batch)
            ]
            yield from seen
            leading = best(seen, arguments.latency) or seen[0]
            for settings in second_round(leading.settings):
                yield _trial(workers, settings, arguments.seconds)


@contextmanager
def _workers(
    config: Config, places: Sequence[Placement], threads: int, names: Sequence[str]
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start a process for each worker, placed as in production; raises BadModel."""
    model = config.model.model_copy(update={"threads": threads})
    own = json.loads(config.model_copy(update={"model": model}).model_dump_json())
    with ExitStack() as running:
        workers = []
        for place in places:
            worker = running.enter_context(_process(place))
            _ask(worker, {"cpus": place.cpus, "config": own, "photos": names})
            workers.append(worker)
        for worker in workers:
            if fault := _answer(worker).get("fault"):
                raise BadModel(fault)
        yield workers


@contextmanager
def _process(place: Placement) -> Iterator["subprocess.Popen[str]"]:
    given = {} if place.gpu is None else {"CUDA_VISIBLE_DEVICES": str(place.gpu)}
    command = (sys.executable, "-m", "visionfleet.model.pace")
    pipe, environment = subprocess.PIPE, {**os.environ, **given}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as worker:
        try:
            yield worker
        finally:
            worker.kill()


def _trial(
    workers: Sequence["subprocess.Popen[str]"], settings: HostSettings, duration: float
) -> Trial:
    for length in (_WARM_UP_SECONDS, duration):  # the first compiles kernels for the batch size
        question = {"batch_size": settings.batch_size, "prefetch": settings.prefetch}
        for worker in workers:
            _ask(worker, {**question, "seconds": length})
        answers = [_answer(worker) for worker in workers]
    return together(settings, answers)


def _ask(worker: "subprocess.Popen[str]", question: Mapping[str, object]) -> None:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()


def _answer(worker: "subprocess.Popen[str]") -> dict[str, Any]:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise BadModel(f"a worker ended with status {worker.wait()}: is there too little memory?")
    found: dict[str, Any] = json.loads(line)
    return found


def _settings(found: Trial, s3_seconds: float) -> dict[str, dict[str, int]]:
    """The prefetch also covers images being fetched from and stored to S3, so it is larger."""
    chosen = found.settings
    on_the_way = math.ceil(found.images_per_second / chosen.workers * s3_seconds)
    return {
        "model": {"threads": chosen.threads},
        "classifier": {
            "cpus_per_worker": chosen.threads,
            "batch_size": chosen.batch_size,
            "prefetch": min(1000, chosen.prefetch + on_the_way),
        },
    }


def _print(trials: Sequence[Trial], found: Trial | None) -> None:
    made = terminal.table("workers", "threads", "batch", "prefetch", "images/s", "p50", "p95", "")
    for trial in trials:
        made.add_row(
            *(str(value) for value in asdict(trial.settings).values()),
            f"{trial.images_per_second:.1f}",
            f"{trial.p50_seconds:.3f} s",
            f"{trial.p95_seconds:.3f} s",
            "best" if trial is found else "",
        )
    terminal.show(made)


def _write(settings: object, found: Trial, arguments: argparse.Namespace) -> None:
    rate, late = found.images_per_second, found.p95_seconds
    text = f"# Of `visionfleet bench`: {rate:.1f} images/s of this host, p95 {late:.3f} s.\n"
    text += yaml.safe_dump(settings, sort_keys=False)
    if arguments.output is not None:
        arguments.output.write_text(text)
    elif not arguments.json:
        print(f"\n{text}", end="")


def _plot(drawn: Any, trials: Sequence[Trial], arguments: argparse.Namespace) -> None:
    axes = drawn.subplots()
    kinds = dict.fromkeys((t.settings.workers, t.settings.threads) for t in trials)
    for workers, threads in kinds:
        some = [t for t in trials if t.settings.workers == workers]
        x, y = [t.images_per_second for t in some], [t.p95_seconds for t in some]
        axes.plot(x, y, "o", label=f"{workers} x {threads} threads")
        for trial in some:
            size, hands = trial.settings.batch_size, trial.settings.prefetch
            axes.annotate(f"{size}/{hands}", (trial.images_per_second, trial.p95_seconds))
    axes.axhline(arguments.latency, ls="--", color="grey")
    axes.set(xlabel="images a second", ylabel="p95 in seconds", title="batch/prefetch")
    axes.legend()
    plots.write(drawn, arguments.plot)
