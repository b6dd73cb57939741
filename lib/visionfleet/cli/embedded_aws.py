"""`visionfleet embedded-aws`: S3, SQS and EC2 in the memory of one process, provisioned."""

import argparse
import dataclasses
import logging
import sys
import threading
from typing import TYPE_CHECKING

from visionfleet.cli.options import Subparsers, add_config, command, loaded
from visionfleet.cli.provision import provision
from visionfleet.errors import GiveUp
from visionfleet.host import process
from visionfleet.host.loopback import loopback_address

if TYPE_CHECKING:
    from visionfleet.config import Config


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    about = "run a stand-in for AWS on aws.endpoint_url, with its buckets and queues made"
    add_config(command(subparsers, "embedded-aws", about, run))


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal comes."""
    from visionfleet.local import embedded_aws

    config = loaded(arguments).config
    address = loopback_address(config.aws.endpoint_url)
    if address is None:
        raise GiveUp(
            f"aws.endpoint_url: {config.aws.endpoint_url} is not on this machine's loopback; the "
            "embedded AWS has no access control: use one like http://127.0.0.1:5500"
        )
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    stop = threading.Event()
    process.stop_on_signals(lambda _name: stop.set())
    try:
        embedded_aws.serve(*address, stop, prepare=lambda url: _provision(config, url))
    except OSError as error:
        raise GiveUp(f"the embedded AWS cannot serve {address[0]}:{address[1]}: {error}") from error
    return 0


def _provision(config: "Config", endpoint_url: str) -> None:
    """Provision through a port that nobody else knows, so that nobody meets half of it."""
    from visionfleet.aws.clients import client_factory

    clients = dataclasses.replace(client_factory(config.aws), endpoint_url=endpoint_url)
    for line in provision(config, clients):
        logging.getLogger(__name__).info(line)
