"""Makes the fleet that the configuration names."""

import time
from dataclasses import replace
from random import Random

from visionfleet.aws import ClientFactory
from visionfleet.aws.s3 import Store
from visionfleet.config import Config
from visionfleet.fleet.base import Fleet
from visionfleet.fleet.ec2 import Ec2Fleet, Template
from visionfleet.fleet.ec2_instances import Instances
from visionfleet.fleet.ledger_store import LedgerObject
from visionfleet.fleet.offerings import offerings
from visionfleet.fleet.supervisor import SupervisorFleet


def fleet(
    config: Config, door: ClientFactory, store: Store, maximum: int, asker: str, random: Random
) -> Fleet:
    """Make the fleet; `asker` names this process among all scalers there ever were."""
    if config.scaler.fleet == "supervisor":
        return SupervisorFleet(str(config.supervisor.socket), maximum)
    settings = config.ec2
    assert settings.launch_template is not None  # a rule of the configuration
    return Ec2Fleet(
        # One try: the fleet itself knows when to ask EC2 again, and with what.
        instances=Instances(replace(door, max_attempts=1).client("ec2"), config.name),
        ledger=LedgerObject(store),
        template=Template(settings.launch_template, settings.template_version, settings.spot),
        offered=offerings(settings.instance_types, settings.subnets),
        maximum=maximum,
        asker=asker,
        clock=time.time,
        random=random,
    )
