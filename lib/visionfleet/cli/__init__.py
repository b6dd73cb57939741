"""The admin command `visionfleet`: one module per subcommand, imported on demand."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from visionfleet import __version__
from visionfleet.cli.parser import Parser, listed
from visionfleet.errors import BadConfig, VisionfleetError
from visionfleet.host.process import EXIT_CONFIG

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what `yes | head` leaves

_FOR_PEOPLE = {
    "up": "run the whole service on this machine",
    "demo": "run the service on free ports and show it at work",
    "classify": "classify images over HTTP",
    "status": "show the queue, the workers, the last decision",
    "dead": "list, show and redrive the requests that failed too often",
    "keys": "add, list and revoke the API keys of the web daemon",
    "load": "send images at a rate to a deployment, and measure how long the answers take",
    "bench": "find the settings for the model on this host",
    "config": "check the configuration, show what is in effect, describe every setting",
    "provision": "make the buckets and queues; again is harmless",
    "install": "put units, commands and configuration where systemd looks for them",
    "shipped": "print where a file lies that comes with visionfleet",
    "placement": "show which classifiers systemd starts on this machine, and where they run",
    "model": "import, teach, build and inspect models",
    "evaluate": "measure the model on labelled images",
    "simulate": "replay a trace against policies, without AWS",
    "plan": "reckon what fleets would cost a month on a trace, and how long images would wait",
    "cost": "show what the fleet cost today, yesterday and in the last 30 days",
    "completion": "print what completes these commands in bash or zsh",
}
_FOR_MACHINES = {
    "instance": (
        "take role and settings from the user data of this EC2 instance, and start its daemons"
    ),
    "embedded-aws": "run a stand-in for AWS on aws.endpoint_url, with its buckets and queues made",
    "revive": "start again what supervisor has given up; run by supervisor as an event listener",
    "end-supervisor": (
        "end supervisord when its program has ended for good; run by supervisor as a listener"
    ),
}
_COMMANDS = _FOR_PEOPLE | _FOR_MACHINES


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser_for(sys.argv[1:] if argv is None else argv).parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BadConfig as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except VisionfleetError as error:
        print(f"visionfleet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        with contextlib.suppress(OSError):  # the interpreter's final flush would fail again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the options of the named command only."""
    named = next((word for word in argv if not word.startswith("-")), None)
    return parser_of([named] if named in _COMMANDS else [])


def parser_of(whole: Sequence[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """The parser with the options of these commands; imports their modules."""
    parts = (listed("commands", _FOR_PEOPLE), listed("run by machines", _FOR_MACHINES))
    parser = Parser(
        prog="visionfleet",
        description="Elastic image recognition: set it up, run it, use it, watch it.",
        epilog="\n\n".join((*parts, "`visionfleet COMMAND --help` tells the rest.")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", help="one of these")
    for name, about in _COMMANDS.items():
        command = subparsers.add_parser(name, description=about[:1].upper() + about[1:])
        if name in whole:
            module = import_module(f"visionfleet.cli.{name.replace('-', '_')}")
            command.set_defaults(run=getattr(module, "run", None))  # or defined by its subcommands
            module.add_arguments(command)
    return parser
