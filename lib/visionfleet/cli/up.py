"""`visionfleet up`: the whole service on this machine, in the foreground."""

import argparse
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from visionfleet.aws.clients import client_factory
from visionfleet.cli.options import add_config, loaded
from visionfleet.cli.parser import Parser
from visionfleet.cli.provision import provision
from visionfleet.cli.terminal import say
from visionfleet.config import LoadedConfig
from visionfleet.host import process
from visionfleet.local.aws_there import embeds_aws
from visionfleet.local.sample_images import shipped_photos
from visionfleet.local.stack import STOP_SECONDS, Stack, StackFiles, running

_KEPT = {
    True: "Everything is kept in memory, images and results\ntoo: it is gone when this ends.",
    False: "AWS is not embedded: images and results stay\nin the buckets.",
}
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # HUP: the terminal was closed


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    add_file_options(parser)


def add_file_options(parser: Parser) -> None:
    parser.path(
        "--supervisor",
        "PATH",
        "supervisor's configuration; default: supervisor/local.conf beside the configuration",
    )
    parser.path(
        "--var", "FOLDER", "folder for logs; default: var beside the configuration's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    whole = loaded(arguments)
    files = stack_files(arguments, whole)
    stop = _stop_on_signals()
    if not files.embedded:
        for line in provision(whole.config, client_factory(whole.config.aws)):
            say(line)
    say("starting ...")
    with running(whole.config, files) as stack:
        if stack.wait_until_ready(stop):
            print(_banner(stack, files, arguments.config), flush=True)
        while not stop.wait(0.5):
            stack.check()
        _stop(stack)
    return 0


def stack_files(arguments: argparse.Namespace, whole: LoadedConfig) -> StackFiles:
    config = whole.files[0].resolve()
    etc = config.parent
    return StackFiles(
        embedded=embeds_aws(whole.config.aws.endpoint_url, os.environ),
        config=config,
        supervisor=(arguments.supervisor or etc / "supervisor/local.conf").resolve(),
        var=(arguments.var or etc.parent / "var").resolve(),
    )


def _stop_on_signals() -> threading.Event:
    """An event that a signal sets; the second signal interrupts any wait."""
    stop = threading.Event()
    ask = process.beside_signals(stop.set)

    def handle(_number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)
        ask()

    for number in _SIGNALS:
        signal.signal(number, handle)
    return stop


def _stop(stack: Stack) -> None:
    started, told, known = time.monotonic(), "", stack.alive()
    stack.terminate()
    while not stack.ended(0.3) and time.monotonic() - started < STOP_SECONDS:
        now = " ".join(stack.still_alive(known))
        if now and now != told:
            say(f"stopping: {now}")
            told = now
    say(f"stopped in {time.monotonic() - started:.1f} s")


def _banner(stack: Stack, files: StackFiles, config: Path | None) -> str:
    photo = shipped_photos().get("chelsea", Path("photo.jpg"))
    named = f" --config {shlex.quote(str(config))}" if config else ""
    return "\n".join(
        (
            "",
            f"visionfleet is ready: {stack.url}/",
            "",
            f"  classify an image  curl -F myfile=@{shlex.quote(str(photo))} {stack.url}/",
            f"  watch the fleet    {shlex.quote(sys.argv[0])} status --watch{named}",
            f"  logs               {files.logs}/{{aws,web,scaler,classifier_00,...}}.log",
            "",
            f"The first image starts a worker. {_KEPT[files.embedded]}",
            "Ctrl-C stops all of it.",
            "",
        )
    )
