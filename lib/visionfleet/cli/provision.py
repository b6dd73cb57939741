"""`visionfleet provision`: makes the buckets and queues of the configuration. Idempotent."""

import argparse
import time
from collections.abc import Iterator
from random import Random

from visionfleet.aws.clients import ClientFactory, client_factory
from visionfleet.aws.provisioning import provision_buckets, provision_queues
from visionfleet.backoff import growing_waits
from visionfleet.cli.options import add_config, loaded, seconds
from visionfleet.cli.parser import Parser
from visionfleet.config import Config
from visionfleet.errors import Denied, TryLater


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.number(
        "--wait",
        seconds(0, 3600),
        0,
        "keep trying for this long while AWS does not answer",
        "SECONDS",
    )


def run(arguments: argparse.Namespace) -> int:
    config = loaded(arguments).config
    deadline = time.monotonic() + arguments.wait
    for wait in growing_waits(Random(), cap=5.0):
        try:
            for line in provision(config, client_factory(config.aws)):
                print(line)
            break
        except (TryLater, Denied):
            if time.monotonic() + wait > deadline:
                raise
            time.sleep(wait)
    return 0


def provision(config: Config, clients: ClientFactory) -> Iterator[str]:
    buckets = {config.storage.input_bucket, config.storage.output_bucket}
    yield from provision_buckets(clients.client("s3"), config.aws.region, buckets)
    yield from provision_queues(clients.client("sqs"), config.name, config.queue)
