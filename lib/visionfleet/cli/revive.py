"""`visionfleet revive`: supervisor's event listener that starts again what was given up."""

import argparse
import os

from visionfleet.cli.parser import Parser
from visionfleet.local.supervisor_restarts import Restarter


def add_arguments(parser: Parser) -> None:
    parser.add_argument("group", nargs="*", help="restart only these groups; default: all")


def run(arguments: argparse.Namespace) -> int:
    Restarter(os.environ.get("SUPERVISOR_SERVER_URL", ""), arguments.group).run()
    return 0
