"""The real scaler daemon for tests, several of them if need be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testkit.aws.embedded import Cloud
from testkit.fleet.supervised import Supervised
from testkit.processes.daemons import Process, started_module

QUICK = """
scaler:
  maximum: 3
  interval_seconds: 0.2
  hold_seconds: 1
  paid_seconds: 0
  service_seconds: 1
  target_wait_seconds: 1
  lease_seconds: 3
"""


@contextmanager
def scaler_daemon(
    aws: Cloud,
    workers: Supervised,
    folder: Path,
    *options: str,
    name: str = "scaler",
    settings: str = QUICK,
    **more: str,
) -> Iterator[Process]:
    """Start a scaler; its configuration and log are `folder`/`name`.yaml and .log."""
    config = folder / f"{name}.yaml"
    config.write_text(settings)
    variables = {"VISIONFLEET_SCALER__FLEET": "supervisor", **more}
    variables["VISIONFLEET_SUPERVISOR__SOCKET"] = str(workers.socket)
    with started_module(
        "visionfleetd.scaler.main",
        *("--config", str(config), *options),
        log=folder / f"{name}.log",
        env={**aws.environment, **variables},
    ) as process:
        yield process


def status(aws: Cloud) -> dict[str, Any]:
    """Read the fleet's status, empty while there is none."""
    found = aws.object("fleet/status.json")
    return {} if found is None else json.loads(found)


def lease(aws: Cloud) -> dict[str, Any]:
    """Read the lease, empty while there is none."""
    found = aws.object("fleet/lease.json")
    return {} if found is None else json.loads(found)


def send(aws: Cloud, count: int, first: int = 0) -> None:
    """Send requests that no model will see."""
    for i in range(first, first + count):
        aws.send_request(f"job{i}", None)
