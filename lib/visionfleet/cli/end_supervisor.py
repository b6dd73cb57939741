"""`visionfleet end-supervisor`: supervisor's event listener that ends it with its program."""

import argparse

from visionfleet.cli.options import Subparsers, command


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    about = "end supervisord when its program has ended for good; run by supervisor as a listener"
    command(subparsers, "end-supervisor", about, run)


def run(_arguments: argparse.Namespace) -> int:
    """Run the listener until supervisor closes its end."""
    from visionfleet.local import supervisor_exit

    return supervisor_exit.main()
