"""`visionfleet provision`: makes the buckets and queues of the configuration. Idempotent."""

import argparse
import time
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

from visionfleet.backoff import growing_waits
from visionfleet.cli.options import Subparsers, add_config, command, loaded, seconds
from visionfleet.errors import TryLater

if TYPE_CHECKING:
    from visionfleet.aws import ClientFactory
    from visionfleet.aws.provisioning import QueuePlan
    from visionfleet.config import Config


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = command(subparsers, "provision", "make the buckets and queues; again is harmless", run)
    add_config(parser)
    parser.add_argument(
        "--wait",
        type=seconds(0, 3600),
        default=0,
        metavar="SECONDS",
        help="keep trying for this long while AWS does not answer; default: %(default)s",
    )


def run(arguments: argparse.Namespace) -> int:
    """Provision, trying again until the wait is over."""
    from visionfleet.aws.from_config import access

    config = loaded(arguments).config
    deadline = time.monotonic() + arguments.wait
    for wait in growing_waits(Random(), cap=5.0):
        try:
            for line in provision(config, access(config.aws)):
                print(line)
            break
        except TryLater:
            if time.monotonic() + wait > deadline:
                raise
            time.sleep(wait)
    return 0


def provision(config: "Config", door: "ClientFactory") -> Iterator[str]:
    """Make what the configuration names; yields one sentence per bucket and queue."""
    from visionfleet.aws.provisioning import provision_buckets, provision_queues

    buckets = {config.storage.input_bucket, config.storage.output_bucket}
    yield from provision_buckets(door.client("s3"), config.aws.region, buckets)
    yield from provision_queues(door.client("sqs"), plan(config))


def plan(config: "Config") -> "QueuePlan":
    """Name the queues and their attributes."""
    from visionfleet.aws.provisioning import QueuePlan
    from visionfleet.contract import names

    return QueuePlan(
        requests=names.requests_queue(config.name),
        dead=names.dead_queue(config.name),
        visibility_timeout_seconds=config.queue.visibility_timeout_seconds,
        max_receives=config.queue.max_receives,
        retention_seconds=config.queue.retention_seconds,
    )
