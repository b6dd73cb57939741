"""The admin command `visionfleet`: one module per subcommand, imported on demand."""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from visionfleet import __version__
from visionfleet.cli.parser import Parser, listed
from visionfleet.errors import BadConfig, VisionfleetError, reason_of
from visionfleet.host.extras import how_to_install
from visionfleet.host.process import EXIT_CONFIG

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what `yes | head` leaves

_FOR_PEOPLE = {
    "up": "run the whole service on this machine",
    "demo": "run the service on free ports and demonstrate it",
    "classify": "classify images over HTTP",
    "status": "show the queue, the workers and the last scaling decision",
    "dead": "list, show and redrive the requests that failed too often",
    "keys": "add, list and revoke the API keys of the web daemon",
    "load": "send images to a deployment at a given rate, and measure latencies",
    "bench": "find the best settings for the model on this host",
    "config": "check the configuration, show the settings in effect, describe every setting",
    "provision": "create the buckets and queues; safe to repeat",
    "install": "install units, commands and configuration on this host",
    "shipped": "print the path of a file that comes with visionfleet",
    "placement": "show which classifiers systemd starts on this machine, and on which CPUs or GPUs",
    "model": "import, teach, build and inspect models",
    "evaluate": "measure the model's accuracy on labelled images",
    "simulate": "replay a trace against scaling policies, without AWS",
    "plan": "compare fleets by monthly cost and waiting time on a trace",
    "cost": "show what the fleet cost today, yesterday and in the last 30 days",
    "completion": "print shell completions for bash or zsh",
}
_FOR_MACHINES = {
    "instance": (
        "read role and settings from this EC2 instance's user data, and start its daemons"
    ),
    "embedded-aws": "run an AWS emulator at aws.endpoint_url, with buckets and queues",
    "revive": "restart programs that supervisor gave up on; run by supervisor as an event listener",
    "end-supervisor": (
        "stop supervisord when its program has exited for good; run by supervisor as a listener"
    ),
}
_COMMANDS = _FOR_PEOPLE | _FOR_MACHINES


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):  # not every encoding has all characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            arguments = parser_for(sys.argv[1:] if argv is None else argv).parse_args(argv)
            code: int = arguments.run(arguments)
        finally:
            if sys.stdout:  # it was closed otherwise
                sys.stdout.flush()
    except BadConfig as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except VisionfleetError as error:
        print(f"visionfleet: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (reason := how_to_install(error)) is None:
            raise
        print(f"visionfleet: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except OSError as error:  # a missing folder, no permission, a full disk, a closed pipe
        _drop_unwritten()
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        place = f"{error.filename}: " if error.filename else ""
        print(f"visionfleet: {place}{reason_of(error)}", file=sys.stderr)
        return 1
    return code


def _drop_unwritten() -> None:
    """If standard output takes no more, the interpreter's final flush would fail too."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the options of the named command only."""
    named = next((word for word in argv if not word.startswith("-")), None)
    return parser_of([named] if named in _COMMANDS else [])


def _module(name: str, required: bool) -> ModuleType | None:
    """The module of a command; None, unless it is required, if a library of an extra is missing."""
    try:
        return import_module(f"visionfleet.cli.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if required or how_to_install(error) is None:
            raise
        return None


def parser_of(whole: Sequence[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the options of these commands; imports their modules."""
    parts = (listed("commands", _FOR_PEOPLE), listed("run by machines", _FOR_MACHINES))
    parser = Parser(
        prog="visionfleet",
        description="Autoscaling image classification: set it up, run it, use it, watch it.",
        epilog="\n\n".join((*parts, "`visionfleet COMMAND --help` describes a command.")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", help="see below")
    for name, about in _COMMANDS.items():
        command = subparsers.add_parser(name, description=about[:1].upper() + about[1:])
        if name in whole and (module := _module(name, required=len(whole) == 1)):
            command.set_defaults(run=getattr(module, "run", None))  # or defined by its subcommands
            module.add_arguments(command)
    return parser
