"""`visionfleet shipped`: where a file lies that comes with the package."""

import argparse

from visionfleet.cli.parser import Parser
from visionfleet.shipped import shipped


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "name", help="such as cloudformation/visionfleet.yaml or etc/supervisor/web.conf"
    )


def run(arguments: argparse.Namespace) -> int:
    print(shipped(arguments.name))
    return 0
