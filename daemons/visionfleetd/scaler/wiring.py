"""Makes the fleet and the autoscaler that the configuration describes."""

import os
import time
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.cloudwatch import publish_at_maximum
from visionfleet.aws.s3 import Store
from visionfleet.aws.sqs import ReplyQueues
from visionfleet.config import Config
from visionfleet.contract import job_ids, names
from visionfleet.cost.prices import PriceTable
from visionfleet.fleet.base import Fleet
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.supervisor import SupervisorFleet
from visionfleet.host.process import boot_clock
from visionfleet.scaler.autoscaler import Autoscaler
from visionfleet.scaler.decision import Policy
from visionfleet.scaler.executor import Executor
from visionfleet.scaler.garbage_collector import GarbageCollector
from visionfleet.scaler.leader_lease import LeaderLease
from visionfleet.scaler.maximum_alarm import AlarmPublisher
from visionfleet.scaler.metrics import ScalerMetrics
from visionfleet.scaler.observation import FleetObserver
from visionfleet.scaler.status_store import StatusStore

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

# A tick waits no longer for CloudWatch than this; it is not worth a second try.
PUBLISH_SECONDS = 3.0


def fleet(config: Config, aws: ClientFactory, store: Store, maximum: int, name: str) -> Fleet:
    """Make the fleet; `name` is that of this process among all scalers there ever were."""
    if config.scaler.fleet == "supervisor":
        return SupervisorFleet(str(config.supervisor.socket), maximum)
    return Ec2Fleet(
        # One try: the fleet itself knows when to ask EC2 again, and with what.
        instances=Instances(aws.client("ec2", max_attempts=1), config.name),
        ledger=LedgerStore(store),
        settings=config.ec2,
        maximum=maximum,
        asker=name,
        clock=aws.clock,
        random=Random(),
    )


def autoscaler(
    config: Config,
    aws: ClientFactory,
    sqs: "SQSClient",
    store: Store,
    observer: FleetObserver,
    policy: Policy,
    prices: PriceTable,
    name: str,
) -> Autoscaler:
    metrics = ScalerMetrics()
    queues = ReplyQueues(sqs, names.replies_prefix(config.name))
    return Autoscaler(
        observer=observer,
        leader_lease=LeaderLease(store, name, config.scaler, aws.clock, boot_clock),
        status_store=StatusStore(store),
        executor=Executor(observer.fleet, store, metrics, aws.clock, _decision_id),
        garbage_collector=GarbageCollector(queues, store, config.scaler.housekeeping_seconds),
        metrics=metrics,
        policy=policy,
        now=aws.clock,
        clock=time.monotonic,
        prices=prices,
        alarm_publisher=_alarm_publisher(config, aws) if config.scaler.fleet == "ec2" else None,
    )


def _alarm_publisher(config: Config, aws: ClientFactory) -> AlarmPublisher:
    client = aws.client("cloudwatch", read_timeout_seconds=PUBLISH_SECONDS, max_attempts=1)
    return AlarmPublisher(partial(publish_at_maximum, client, config.name))


def _decision_id(now: float) -> str:
    return job_ids.new_job_id(now, os.urandom(job_ids.RANDOM_BYTES))
