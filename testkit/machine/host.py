"""A booted machine with the whole service installed, and AWS outside of it."""

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from testkit.aws.embedded import CREDENTIALS, Cloud, add_template, cloud, ec2_client
from testkit.machine.container import Machine, machine
from testkit.machine.installed import install, libraries
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

WEB, SCALER = "visionfleet-web.service", "visionfleet-scaler.service"
CLASSIFIERS = ("visionfleet-classifier@0.service", "visionfleet-classifier@1.service")
DAEMONS = (WEB, SCALER, *CLASSIFIERS)
SETTINGS = "/etc/visionfleet/conf.d/50-test.yaml"
# What a test adds lies in a file of its own, and goes again.
EXTRA = "/etc/visionfleet/conf.d/60-one-test.yaml"
# Everything quicker than AWS wants it. The fleet may launch one instance, which is no machine.
TEXT = """
aws: {{endpoint_url: {endpoint}}}
web: {{port: {port}}}
queue: {{wait_seconds: 2, visibility_timeout_seconds: 10}}
model: {{threads: 1}}
classifier: {{cpus_per_worker: 1, report_seconds: 2}}
scaler: {{fleet: ec2, maximum: 1, interval_seconds: 1, lease_seconds: 12}}
ec2: {{launch_template: workers}}
"""
PNG = {"Content-Type": "image/png"}
WATCHDOG = "[Service]\nWatchdogSec={seconds}\n"


@dataclass(frozen=True)
class Host:
    """The machine, its AWS, and where its web daemon listens."""

    machine: Machine
    aws: Cloud
    port: int

    def curl(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> str:
        """Ask the web daemon from the machine itself; the last argument is a path."""
        url = f"http://127.0.0.1:{self.port}{arguments[-1]}"
        argv = ["curl", "--silent", "--show-error", "--max-time", "60", *arguments[:-1], url]
        return self.machine.run(*argv, stdin=stdin, check=check, seconds=70).stdout

    def upload(self, image: bytes) -> str | None:
        """Upload an image; returns its job, None when it was not accepted."""
        url = f"http://127.0.0.1:{self.port}/v1/jobs"
        try:
            answer = requests.post(url, data=image, headers=PNG, timeout=30)
        except requests.ConnectionError:
            return None
        return str(answer.json()["job"]) if answer.status_code == 202 else None

    def upload_all(self, images: Iterable[bytes]) -> list[str]:
        """Upload images; returns the jobs that were accepted."""
        return [job for job in map(self.upload, images) if job is not None]

    def results(self, jobs: Sequence[str], seconds: float = 60.0) -> list[dict[str, Any]]:
        """Wait until every job has its result."""

        def missing() -> list[str]:
            return [job for job in jobs if self.aws.result(job) is None]

        wait_until(lambda: not missing(), seconds, lambda: f"{len(missing())} jobs without result")
        return [result for result in map(self.aws.result, jobs) if result is not None]

    def pid(self, unit: str) -> int:
        """Main process of a unit, as the machine counts."""
        return int(self.machine.show(unit, "MainPID"))

    def wait_for_new_life(self, unit: str, old: int, seconds: float = 60.0) -> None:
        """Wait until a unit is ready with another process than this one."""

        def lives() -> bool:
            return self.machine.show(unit, "ActiveState") == "active" and self.pid(unit) != old

        wait_until(lives, seconds, lambda: self.machine.journal("-u", unit, "-n", "40"), 0.1)

    def status(self, unit: str) -> str:
        """The status line that the daemon gives systemd."""
        return self.machine.show(unit, "StatusText")

    @contextmanager
    def settings(self, text: str, **variables: str) -> Iterator[None]:
        """Override settings, and add variables of the environment, for a with block."""
        self.machine.write(EXTRA, text)
        write_environment(self.machine, **variables)
        try:
            yield
        finally:
            self.machine.run("rm", EXTRA)
            write_environment(self.machine)


def write_environment(machine: Machine, **variables: str) -> None:
    """Write what systemd hands to the daemons: credentials, and these variables."""
    text = "".join(
        f"{name}={shlex.quote(value)}\n" for name, value in (CREDENTIALS | variables).items()
    )
    machine.write("/etc/visionfleet/environment", text, mode=0o600)


@contextmanager
def host(folder: Path, watchdogs: Mapping[str, float]) -> Iterator[Host]:
    """Install everything and enable it, with these watchdogs in seconds; nothing is started."""
    port = free_port()
    two = sorted(os.sched_getaffinity(0))[:2]  # a classifier for each
    with cloud(folder) as aws, machine(folder, binds=libraries(), cpus=two) as booted:
        add_template(ec2_client(aws))
        install(booted)
        booted.write(SETTINGS, TEXT.format(endpoint=aws.endpoint_url, port=port))
        write_environment(booted)
        for unit, seconds in watchdogs.items():
            path = f"/etc/systemd/system/{unit}.d/test.conf"
            booted.write(path, WATCHDOG.format(seconds=seconds))
        booted.systemctl("daemon-reload")
        booted.systemctl(
            "enable", "visionfleet.target", "visionfleet-classifiers.target", WEB, SCALER
        )
        yield Host(booted, aws, port)
