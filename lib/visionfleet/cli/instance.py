"""`visionfleet instance`: makes an EC2 instance what its user data says; for its boot."""

import argparse
import os
import subprocess
import time
from subprocess import DEVNULL, PIPE

from visionfleet.aws.imds import USER_DATA, Metadata, endpoint
from visionfleet.cli.options import add_config, loaded
from visionfleet.config.load import path_of
from visionfleet.errors import GiveUp
from visionfleet.host.user_data import FIRST_LINE, InstanceRoles, read

DROP_IN = "90-instance.yaml"
_HEADER = "# From the user data of this instance, written at each boot.\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Faulty settings stay where they are, so that each fault's line can be looked up."""
    path = path_of(arguments.config, os.environ).parent / "conf.d" / DROP_IN
    wanted = read(Metadata(endpoint(os.environ), time.monotonic).find(USER_DATA) or b"")
    if wanted is None:
        path.unlink(missing_ok=True)
        print(f"user data without a first line {FIRST_LINE}: nothing is started")
        return 0
    fresh = path.with_suffix(".new")
    fresh.write_text(_HEADER + wanted.settings)
    fresh.replace(path)
    loaded(arguments)
    _start(wanted)
    print("started", *wanted.units)
    return 0


def _start(wanted: InstanceRoles) -> None:
    """Start the units by their target, with which they stop and restart; until the next boot."""
    for command in (
        ("systemctl", "enable", "--runtime", *wanted.units),
        ("systemctl", "start", "--no-block", "visionfleet.target"),
    ):
        name = " ".join(command)
        try:
            done = subprocess.run(command, stdin=DEVNULL, stderr=PIPE, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GiveUp(f"{name}: {error}") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise GiveUp(f"{name}: status {done.returncode}: {said[-500:]}")
