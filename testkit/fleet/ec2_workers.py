"""Gives every instance of the embedded AWS a machine: a real classifier in a process of its own.

Run as `python -m testkit.fleet.ec2_workers FOLDER BOOT_SECONDS`; the folder gets the logs. The
processes are forks of one that has torch and boto's data already, or 19 of them would take minutes.
"""

import functools
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
from botocore.loaders import JSONFileLoader

from testkit.aws.imds import imds_server
from visionfleetd.classifier import main as classifier

STEP_SECONDS = 0.2
STOP_SECONDS = 30.0


class InstanceWorkers:
    """The machines by instance id; they start `boot_seconds` after EC2 says `running`."""

    def __init__(self, ec2: Any, folder: Path, boot_seconds: float) -> None:
        self._ec2, self._folder, self._boot_seconds = ec2, folder, boot_seconds
        self._first_seen: dict[str, float] = {}
        self._pids: dict[str, int] = {}
        self._told: dict[str, float] = {}  # to end, and until when

    def look(self) -> None:
        """Start machines whose time has come, end those of terminated instances, take note."""
        running = self._running()
        for name in running - self._first_seen.keys():
            self._first_seen[name] = time.monotonic()
        for name in running - self._pids.keys():
            if time.monotonic() - self._first_seen[name] >= self._boot_seconds:
                self._pids[name] = self._start(name)
                print(f"started {name}", flush=True)
        for name in self._pids.keys() - running - self._told.keys():
            self._tell(name)
        for name in list(self._told):
            self._reap(name)

    def close(self) -> None:
        """End all machines."""
        for name in self._pids.keys() - self._told.keys():
            self._tell(name)
        while self._told:
            for name in list(self._told):
                self._reap(name)
            time.sleep(0.02)

    def _running(self) -> set[str]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["running"]}]
        )
        found = [r for page in pages for r in page["Reservations"]]
        return {instance["InstanceId"] for r in found for instance in r["Instances"]}

    def _start(self, name: str) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 70
        try:
            status = run_worker(name, self._folder / f"{name}.log")
        finally:
            os._exit(status)

    def _tell(self, name: str) -> None:
        """Tell a machine to end, as EC2 does."""
        os.kill(self._pids[name], signal.SIGTERM)
        self._told[name] = time.monotonic() + STOP_SECONDS

    def _reap(self, name: str) -> None:
        """Take note of the end of a machine, and end it when its time is over."""
        pid = self._pids[name]
        if time.monotonic() >= self._told[name]:
            os.kill(pid, signal.SIGKILL)
            print(f"killed {name}", flush=True)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del self._told[name], self._pids[name]
            print(f"ended {name} with {os.waitstatus_to_exitcode(status)}", flush=True)


def run_worker(name: str, log: Path) -> int:
    """Be one machine: its metadata, and its classifier, which has no other way to its name."""
    output = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with imds_server() as service:
        service.documents["/latest/meta-data/instance-id"] = name.encode()
        os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = service.url
        try:
            classifier.main(["--config", os.environ["MACHINE_CONFIG"]])
        except SystemExit as end:
            return int(end.code or 0)
    return 0


def warm_up(where: dict[str, Any]) -> None:
    """Load what takes a classifier seconds; torch is at rest, so its state can be forked."""
    import torch  # noqa: F401
    import torchvision  # noqa: F401

    load = functools.cache(JSONFileLoader().load_file)
    setattr(JSONFileLoader, "load_file", lambda _, path: load(path))  # noqa: B010
    for service in ("s3", "sqs"):
        boto3.client(service, **where)


def main() -> None:
    """Follow EC2 until SIGTERM."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    endpoint = os.environ["VISIONFLEET_AWS__ENDPOINT_URL"]
    where: dict[str, Any] = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    warm_up(where)
    ec2: Any = boto3.client("ec2", **where)
    workers = InstanceWorkers(ec2, Path(sys.argv[1]), float(sys.argv[2]))
    print("ready", flush=True)
    while not stop.wait(STEP_SECONDS):
        workers.look()
    workers.close()


if __name__ == "__main__":
    main()
