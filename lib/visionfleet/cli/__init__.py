"""The admin command `visionfleet`: one module per subcommand, imported when it is asked for."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from visionfleet import __version__
from visionfleet.errors import BadConfig, VisionfleetError
from visionfleet.host.process import EXIT_CONFIG

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what `yes | head` leaves

_COMMANDS = {
    "up": "run the whole service on this machine",
    "demo": "run the service on free ports and show it at work",
    "classify": "classify images over HTTP",
    "status": "show the queue, the workers, the last decision",
    "dead": "list, show and redrive the requests that failed too often",
    "keys": "add, list and revoke the API keys of the web daemon",
    "load": "send images at a rate to a deployment, and measure how long the answers take",
    "bench": "find the settings for the model on this host",
    "evaluate": "measure the model on labelled images",
    "model": "look at model files",
    "simulate": "replay a trace against policies, without AWS",
    "config": "check the configuration, show what is in effect, describe every setting",
    "install": "put units, commands and configuration where systemd looks for them",
    "shipped": "print where a file lies that comes with visionfleet",
    "provision": "make the buckets and queues; again is harmless",
    "placement": "show which classifiers systemd starts on this machine, and where they run",
    "embedded-aws": "run a stand-in for AWS on aws.endpoint_url, with its buckets and queues made",
    "revive": "start again what supervisor has given up; run by supervisor as an event listener",
    "instance": (
        "take role and settings from the user data of this EC2 instance, and start its daemons"
    ),
    "end-supervisor": (
        "end supervisord when its program has ended for good; run by supervisor as a listener"
    ),
}


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
        with contextlib.suppress(OSError):  # the interpreter's last flush would complain once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    return code


def parser_for(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of the command that is named, and its line in the help of all others."""
    parser = argparse.ArgumentParser(
        prog="visionfleet",
        description="Elastic image recognition: set it up, run it, use it, watch it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    named = next((word for word in argv if not word.startswith("-")), None)
    for name, about in _COMMANDS.items():
        description = about[:1].upper() + about[1:]
        command = subparsers.add_parser(name, help=about, description=description)
        if name == named:
            module = import_module(f"visionfleet.cli.{name.replace('-', '_')}")
            command.set_defaults(run=getattr(module, "run", None))  # or its subcommands have one
            module.add_arguments(command)
    return parser
