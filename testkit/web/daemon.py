"""The real web daemon for tests."""

import itertools
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from testkit.aws.embedded import NAME, Cloud
from testkit.processes.daemons import Process, started_module
from testkit.processes.ports import free_port

SECONDS = 60.0  # no request of a test takes as long


@dataclass(frozen=True)
class Web:
    """A running web daemon."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, seconds: float = SECONDS) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def get(self, path: str, **options: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=SECONDS, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return requests.post(self.url + path, timeout=SECONDS, **options)


@contextmanager
def launched(environment: dict[str, str], folder: Path, **settings: str) -> Iterator[Web]:
    """Start a web daemon without waiting for it; settings as `WEB__STOP_SECONDS="3"`."""
    config = folder / "visionfleet.yaml"
    config.write_text("queue: {wait_seconds: 2}\n")
    log = next(path for i in itertools.count() if not (path := folder / f"web-{i}.log").exists())
    port = free_port()
    variables = {f"VISIONFLEET_{name}": value for name, value in settings.items()}
    with started_module(
        "visionfleetd.web.main",
        *("--config", str(config)),
        log=log,
        env={"VISIONFLEET_WEB__PORT": str(port), **environment, **variables},
        stop_seconds=30,
    ) as process:
        yield Web(process, port)


@contextmanager
def web_daemon(
    cloud: Cloud, folder: Path, environment: Mapping[str, str] | None = None, /, **settings: str
) -> Iterator[Web]:
    """Run a web daemon that is ready."""
    with launched({**cloud.environment, **(environment or {})}, folder, **settings) as web:
        web.process.wait_for_output("web: ready", seconds=60)
        yield web


def reply_queues(cloud: Cloud) -> list[str]:
    """List the names of the reply queues that exist."""
    urls = cloud.sqs.list_queues(QueueNamePrefix=f"{NAME}-replies-").get("QueueUrls", ())
    return [url.rsplit("/", 1)[-1] for url in urls]
