"""The daemons of one deployment of the stack, as its hosts would start them."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from testkit.aws.cloudformation_stack import CloudStack, dumped
from testkit.aws.recording_proxy import RecordingProxy
from testkit.images.pictures import encoded, numbered
from testkit.processes.daemons import Process, started_module

QUICK: dict[str, dict[str, Any]] = {
    "queue": {"wait_seconds": 1},
    "scaler": {
        "interval_seconds": 0.3,
        "hold_seconds": 8,
        "paid_seconds": 0,
        "lease_seconds": 6,
        "housekeeping_seconds": 1,
    },
    "classifier": {"report_seconds": 1, "idle_shutdown_seconds": 5},
    "results": {"by_name": True},
}


@dataclass
class Deployment:
    """The daemons of one deployment, and what plays the part of clients, EC2 and SQS."""

    stack: CloudStack
    recorder: RecordingProxy
    folder: Path
    running: ExitStack
    url: str = ""
    logs: dict[str, Process] = field(default_factory=dict)

    def environment(self, who: str) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": who,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "VISIONFLEET_AWS__ENDPOINT_URL": self.recorder.url,
        }

    def start(self, who: str, module: str, over: Mapping[str, Any], **environment: str) -> Process:
        """Start a daemon as its host would, from the user data of its launch template."""
        config = self.folder / f"{module}.yaml"
        template = {"WEB": "WebTemplate", "SCALER": "ScalerTemplate", "WORKER": "WorkerTemplate"}
        config.write_text(dumped(self.stack.drop_in(template[who]), QUICK, over))
        process = self.running.enter_context(
            started_module(
                f"visionfleetd.{module}.main",
                *("--config", str(config)),
                log=self.folder / f"{module}.log",
                env={**self.environment(who), **environment},
                stop_seconds=30,
            )
        )
        self.logs[who] = process
        return process

    def instances(self, *states: str) -> list[str]:
        found = self.stack.client("ec2").describe_instances(
            Filters=[
                {"Name": "tag:visionfleet:role", "Values": ["worker"]},
                {"Name": "instance-state-name", "Values": list(states)},
            ]
        )
        return [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]

    def post(self, path: str, number: int, **options: Any) -> requests.Response:
        files = {"file": (f"{number}.png", encoded(numbered(number)))}
        return requests.post(self.url + path, files=files, timeout=60, **options)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=60)

    def answered(self, answer: requests.Response) -> dict[str, Any]:
        """Wait for the result of a job that was accepted."""
        assert answer.status_code == 202, answer.text
        found = self.get(answer.json()["location"] + "?wait=60")
        assert found.status_code == 200, found.text
        return dict(found.json())
