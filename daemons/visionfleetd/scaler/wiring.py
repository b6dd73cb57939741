"""Wires up the fleet and the autoscaler from the configuration."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from visionfleet.aws.clients import ClientFactory
from visionfleet.aws.cloudwatch import publish_at_maximum
from visionfleet.aws.reply_queues import ReplyQueues
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.config.scaler import FleetKind
from visionfleet.contract import job_ids, names
from visionfleet.cost.prices import PriceTable
from visionfleet.fleet import supervisor, systemd
from visionfleet.fleet.base import Fleet
from visionfleet.fleet.ec2 import Ec2Fleet
from visionfleet.fleet.ec2_client import Instances
from visionfleet.fleet.ledger_store import LedgerStore
from visionfleet.fleet.supervisor import SupervisorFleet
from visionfleet.fleet.systemd import SystemdFleet
from visionfleet.host import cpu_quota
from visionfleet.host.cpu_topology import placed
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

# Limits how long CloudWatch may delay a tick; no retries.
PUBLISH_SECONDS = 3.0


def lacking(config: Config) -> Callable[[], str]:
    """Return a check that says what this machine's fleet lacks; EC2 is checked later."""
    kinds: dict[FleetKind, Callable[[], str]] = {
        "systemd": partial(systemd.lacking, config.classifier),
        "supervisor": partial(supervisor.lacking, str(config.supervisor.socket)),
    }
    return kinds.get(config.scaler.fleet, str)


def policy(config: Config) -> Policy:
    made = Policy.of(config, cpu_quota.granted())
    if config.scaler.fleet != "systemd":
        return made
    return replace(made, maximum=min(made.maximum, len(placed(config.classifier))))


def fleet(
    config: Config,
    aws: ClientFactory,
    store: Store,
    maximum: int,
    name: str,
    stopping: Callable[[], bool],
) -> Fleet:
    """Make the fleet; `name` is unique to this process."""
    if config.scaler.fleet == "supervisor":
        return SupervisorFleet(str(config.supervisor.socket), maximum)
    if config.scaler.fleet == "systemd":
        places = len(placed(config.classifier))
        return SystemdFleet(socket.gethostname(), places, maximum, time.time, stopping)
    return Ec2Fleet(
        # No retries in the client: the fleet decides when and what to retry.
        instances=Instances(aws.client("ec2", max_attempts=1), config.name),
        ledger=LedgerStore(store),
        settings=config.ec2,
        maximum=maximum,
        scaler=name,
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
        leader_lease=LeaderLease(store, name, config.name, config.scaler, aws.clock, boot_clock),
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
