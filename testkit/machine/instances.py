"""Gives every instance of the embedded AWS a machine: the baked image, booted.

What EC2 tells an instance, the machine hears from a metadata service of its own. A terminated
instance's machine is switched off in order, as EC2 does.
"""

import base64
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from testkit.aws.imds import INSTANCE_ID, USER_DATA, ImdsServer, imds_server
from testkit.machine.container import Machine, machine_of
from testkit.machine.image import BakedImage
from testkit.machine.installed import libraries

STEP_SECONDS = 0.3


@contextmanager
def instance(image: BakedImage, folder: Path, name: str, user_data: bytes) -> Iterator[Machine]:
    """Boot the image as the instance of this name, with this user data if there is any."""
    with imds_server() as service:
        service.documents[INSTANCE_ID] = name.encode()
        if user_data:
            service.documents[USER_DATA] = user_data
        with booted_instance(service, image, folder, name) as made:
            yield made


@contextmanager
def booted_instance(
    service: ImdsServer, image: BakedImage, folder: Path, name: str
) -> Iterator[Machine]:
    """Boot the image where this is the metadata service."""
    folder.mkdir()
    words = [f"systemd.setenv=AWS_EC2_METADATA_SERVICE_ENDPOINT={service.url}"]
    # cloud-init would make its keys; all machines share the network, and so its port.
    words += ["systemd.mask=ssh.service"]
    with machine_of(image.disk, folder, libraries(), name, words=words) as made:
        yield made


def journal_of(machine: Machine, unit: str) -> str:
    """Read the journal of a unit, also of a machine that is switched off."""
    place = machine.disk / "var" / "log" / "journal"
    command = ["journalctl", "--no-pager", "-q", "-D", str(place), "-u", unit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Instances:
    """The machines of a fleet. `journals` has the classifier's log of each ended one."""

    def __init__(self, image: BakedImage, folder: Path, ec2: Any, over: threading.Event) -> None:
        self._image, self._folder, self._ec2, self._over = image, folder, ec2, over
        self._pool = ThreadPoolExecutor(16)
        self._machines: dict[str, Future[None]] = {}
        self.running: set[str] = set()
        self.peak = 0
        self.journals: dict[str, str] = {}

    def run(self) -> None:
        """Follow EC2 until told to stop, then wait for the machines and raise their errors."""
        while not self._over.wait(STEP_SECONDS):
            self.running = self._list()
            self.peak = max(self.peak, len(self.running))
            for name in self.running - self._machines.keys():
                self._machines[name] = self._pool.submit(self._live, name)
        self.running = set()
        for machine in self._machines.values():
            machine.result(120)
        self._pool.shutdown()

    def _list(self) -> set[str]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[
                {"Name": "instance-state-name", "Values": ["pending", "running"]},
                {"Name": "tag-key", "Values": ["visionfleet:deployment"]},
            ]
        )
        found = [r for page in pages for r in page["Reservations"]]
        return {one["InstanceId"] for r in found for one in r["Instances"]}

    def _live(self, name: str) -> None:
        told = self._ec2.describe_instance_attribute(InstanceId=name, Attribute="userData")
        user_data = base64.b64decode(told["UserData"]["Value"])
        with instance(self._image, self._folder / name, name, user_data) as machine:
            while name in self.running:
                self._over.wait(STEP_SECONDS)
            machine.power_off()
            self.journals[name] = journal_of(machine, "visionfleet-classifier@0")


@contextmanager
def instances(image: BakedImage, folder: Path, ec2: Any) -> Iterator[Instances]:
    """Boot and end machines as EC2's instances come and go, for the length of a with block."""
    over = threading.Event()
    made = Instances(image, folder, ec2, over)
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(made.run)
        try:
            yield made
        finally:
            over.set()
            work.result(180)


def user_data(role: str | Sequence[str], settings: Mapping[str, object]) -> bytes:
    """Write user data as an instance gets them."""
    tree = {"role": role, "visionfleet": settings}
    return b"#visionfleet\n" + yaml.safe_dump(tree, sort_keys=False).encode()
