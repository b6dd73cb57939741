"""`visionfleet instance`: makes an EC2 instance what its user data says; for its boot."""

import argparse
import os
import time
from pathlib import Path

from visionfleet.aws.clients import client_factory
from visionfleet.aws.cloudformation import signal_resource
from visionfleet.aws.imds import USER_DATA, Metadata, endpoint, instance_id
from visionfleet.cli.options import add_config, loaded
from visionfleet.cli.parser import Parser
from visionfleet.config.load import path_of
from visionfleet.errors import Denied, GiveUp, TryLater
from visionfleet.host.systemctl import systemctl
from visionfleet.host.user_data import FIRST_LINE, InstanceRoles, StackSignal, read

# In merge order, after those of the image.
OPERATORS, DEPLOYMENTS = "80-operator.yaml", "90-instance.yaml"
_SIGNAL_UNIT = "visionfleet-signal.service"
_HEADER = "# From the user data of this instance, written at each boot.\n"


def add_arguments(parser: Parser) -> None:
    add_config(parser)
    parser.flag("--signal", "wait until the daemons are ready, and signal the CloudFormation stack")


def run(arguments: argparse.Namespace) -> int:
    """Faulty settings are left in place, so that the reported lines can be looked up."""
    folder = path_of(arguments.config, os.environ).parent / "conf.d"
    metadata = Metadata(endpoint(os.environ), time.monotonic)
    wanted = read(metadata.find(USER_DATA) or b"")
    if arguments.signal:
        return _signal(arguments, wanted, metadata)
    if wanted is None:
        for name in (OPERATORS, DEPLOYMENTS):
            (folder / name).unlink(missing_ok=True)
        print(f"user data without a first line {FIRST_LINE}: nothing is started")
        return 0
    _write(folder / OPERATORS, wanted.operator_settings)
    _write(folder / DEPLOYMENTS, wanted.settings)
    loaded(arguments)
    _start(wanted)
    print("started", *wanted.units)
    return 0


def _write(path: Path, settings: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(_HEADER + settings)
    fresh.replace(path)


def _start(wanted: InstanceRoles) -> None:
    """Start the units by their target, so that they stop and restart with it."""
    _systemctl("enable", "--runtime", *wanted.units)
    _systemctl("start", "--no-block", "visionfleet.target")
    if wanted.signal is not None:
        _systemctl("start", "--no-block", _SIGNAL_UNIT)


def _systemctl(*arguments: str) -> None:
    done = systemctl(*arguments, timeout_seconds=30)
    if done.returncode != 0:
        command = " ".join(("systemctl", *arguments))
        said = done.stderr.strip()
        raise GiveUp(f"{command}: status {done.returncode}: {said[-500:]}")


def _signal(arguments: argparse.Namespace, wanted: InstanceRoles | None, metadata: Metadata) -> int:
    if wanted is None or wanted.signal is None:
        print("user data without `signal`: nobody waits for this instance")
        return 0
    ready = _are_ready(wanted.units)
    client = client_factory(loaded(arguments).config.aws).client("cloudformation")
    return _told(client, wanted.signal, instance_id(metadata), ready)


def _are_ready(units: tuple[str, ...]) -> bool:
    """Wait for the daemons to be ready; raises TryLater while systemd restarts one."""
    if systemctl("start", *units, timeout_seconds=None).returncode == 0:
        return True
    if systemctl("--quiet", "is-failed", *units, timeout_seconds=30).returncode == 0:
        return False  # e.g. refused configuration: not restarted
    raise TryLater(f"{' '.join(units)}: not ready yet")


def _told(client: object, to: StackSignal, instance: str, ready: bool) -> int:
    try:
        signal_resource(client, to.stack, to.resource, instance, ready)
    except Denied:  # the IAM role may still be propagating
        raise
    except GiveUp as error:  # replaced outside a stack update: nobody waits
        print(f"nobody waits for this instance: {error}")
        return 0
    print(f"told {to.stack}: {to.resource}", "is ready" if ready else "failed")
    return 0
