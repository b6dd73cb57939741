"""The whole service as a user starts it: `visionfleet up`, on free ports, nothing imported."""

import json
import os
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testkit import ROOT
from testkit.aws.embedded import Cloud, connect
from testkit.processes.daemons import Process, started
from testkit.processes.ports import free_port
from testkit.processes.waiting import wait_until

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Stack:
    """A running stack; `environment` makes the command line talk to it."""

    url: str
    aws: Cloud
    process: Process
    var: Path
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """Read JSON from the web daemon."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())

    def workers(self) -> int:
        """Count the workers that the scaler sees."""
        return sum(self.get("/v1/fleet")["states"].values())

    def pids(self, name: str) -> list[int]:
        """Ids of the stack's processes whose command line holds `name`."""
        return [pid for pid, command in self.commands().items() if name in command]

    def commands(self) -> dict[int, str]:
        """Command lines of all processes that have this stack's socket in their environment."""
        mark = f"VISIONFLEET_SUPERVISOR__SOCKET={self.environment[SOCKET]}".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            try:
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(folder.name)] = command
            except OSError:
                continue  # ended meanwhile, or a kernel thread
        return {pid: command for pid, command in found.items() if command}

    def log(self, name: str) -> str:
        return (self.var / "log" / f"{name}.log").read_text()


SOCKET = "VISIONFLEET_SUPERVISOR__SOCKET"


@contextmanager
def stack(settings: Mapping[str, str] | None = None, aws: Cloud | None = None) -> Iterator[Stack]:
    """Run the stack of `etc/local.yaml` with some settings over it, until the block ends.

    With `aws` it uses that one, and embeds none.
    """
    with tempfile.TemporaryDirectory(prefix="vf-", dir="/tmp") as name:
        folder, web = Path(name), free_port()
        used = aws or connect(f"http://127.0.0.1:{free_port()}")
        endpoint = "AWS_ENDPOINT_URL" if aws else "VISIONFLEET_AWS__ENDPOINT_URL"
        own = {
            SOCKET: str(folder / "s.sock"),
            "VISIONFLEET_WEB__PORT": str(web),
            endpoint: used.endpoint_url,
            **(settings or {}),
        }
        argv = [str(BIN / "visionfleet"), "up", "--config", str(ROOT / "etc/local.yaml")]
        argv += ["--var", str(folder / "var")]
        with started(argv, folder / "up.log", own, stop_seconds=60) as process:
            process.wait_for_output("visionfleet is ready", 90)
            made = Stack(f"http://127.0.0.1:{web}", used, process, folder / "var", own)
            wait_until(lambda: made.aws.object("fleet/status.json"), 20, "the scaler's first look")
            yield made


def data(part: str) -> Path:
    """Folder of data that is not part of the project; CI must have it, at home it may be absent."""
    import pytest

    folder = Path(os.environ.get("TEST_DATA", ROOT.parent / "shared" / "data")) / part
    if not folder.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs the test data: {folder}")
        pytest.skip(f"no test data: {folder}")
    return folder
