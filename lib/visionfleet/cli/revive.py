"""`visionfleet revive`: supervisor's event listener that starts again what was given up."""

import argparse

from visionfleet.local import supervisor_restarts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("group", nargs="*", help="look after these groups alone; default: all")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    supervisor_restarts.listen(arguments.group)
    return 0
