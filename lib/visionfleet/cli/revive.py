"""`visionfleet revive`: supervisor's event listener that starts again what was given up."""

import argparse

from visionfleet.cli.options import Subparsers, command


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    about = "start again what supervisor has given up; run by supervisor as an event listener"
    parser = command(subparsers, "revive", about, run)
    parser.add_argument("group", nargs="*", help="look after these groups alone; default: all")


def run(arguments: argparse.Namespace) -> int:
    """Run the listener until supervisor closes its end."""
    from visionfleet.local import supervisor_restarts

    return supervisor_restarts.main(arguments.group)
