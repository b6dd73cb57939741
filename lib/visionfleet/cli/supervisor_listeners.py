"""`visionfleet revive` and `end-supervisor`: run by supervisor, as listeners to its events."""

import argparse

from visionfleet.cli.options import Subparsers, command


def add_parser(subparsers: Subparsers) -> None:
    """Add both subcommands."""
    about = "start again what supervisor has given up; run by supervisor as an event listener"
    parser = command(subparsers, "revive", about, revive)
    parser.add_argument("group", nargs="*", help="look after these groups alone; default: all")
    about = "end supervisord when its program has ended for good; run by supervisor as a listener"
    command(subparsers, "end-supervisor", about, end_supervisor)


def revive(arguments: argparse.Namespace) -> int:
    from visionfleet.local import supervisor_restarts

    supervisor_restarts.listen(arguments.group)
    return 0


def end_supervisor(_arguments: argparse.Namespace) -> int:
    from visionfleet.local import supervisor_exit

    supervisor_exit.listen()
    return 0
