"""`visionfleet end-supervisor`: supervisor's event listener that ends it with its program."""

import argparse

from visionfleet.local import supervisor_exit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run)


def run(_arguments: argparse.Namespace) -> int:
    supervisor_exit.listen()
    return 0
