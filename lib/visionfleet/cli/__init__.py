"""The admin command `visionfleet`: one module per subcommand.

What a subcommand needs is imported when it runs, so that `--help` is quick and only those that
classify themselves import torch.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from visionfleet import __version__
from visionfleet.cli import (
    classify,
    config,
    dead,
    demo,
    embedded_aws,
    evaluate,
    instance,
    keys,
    model,
    placement,
    provision,
    simulate,
    status,
    supervisor_listeners,
    up,
)
from visionfleet.errors import BadConfig, VisionfleetError
from visionfleet.host.process import EXIT_CONFIG

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells do
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE, what `yes | head` leaves

_COMMANDS = (
    up,
    demo,
    classify,
    status,
    dead,
    keys,
    evaluate,
    model,
    simulate,
    config,
    provision,
    placement,
    embedded_aws,
    supervisor_listeners,
    instance,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit status; argparse itself exits with 2."""
    arguments = _parser().parse_args(argv)
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
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="visionfleet",
        description="Elastic image recognition: set it up, run it, use it, watch it.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for module in _COMMANDS:
        module.add_parser(subparsers)
    return parser


def _silence_stdout() -> None:
    """Let the interpreter's last flush go nowhere; it would complain of the pipe once more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
