"""`visionfleet embedded-aws`: S3, SQS and EC2 in the memory of one process, provisioned."""

import argparse
import dataclasses
import logging
import sys
import threading

from visionfleet.aws.clients import client_factory
from visionfleet.cli.options import add_config, loaded
from visionfleet.cli.parser import Parser
from visionfleet.cli.provision import provision
from visionfleet.config import Config
from visionfleet.errors import GiveUp
from visionfleet.host import process
from visionfleet.host.loopback import loopback_address
from visionfleet.local import embedded_aws


def add_arguments(parser: Parser) -> None:
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
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


def _provision(config: Config, endpoint_url: str) -> None:
    """Provision on a private port, so that clients never see it half done."""
    usual = client_factory(config.aws)
    clients = dataclasses.replace(usual, endpoint_url=endpoint_url, service_endpoints={})
    for line in provision(config, clients):
        logging.getLogger(__name__).info(line)
