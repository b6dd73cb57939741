"""A real supervisord with a group of workers, for tests of the scaler."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testkit.processes.daemons import Process, started
from testkit.processes.waiting import wait_until
from visionfleet.host.supervisor_rpc import connect

WORKER = Path(__file__).with_name("stand_in_worker.py")
CONF = """
[unix_http_server]
file={folder}/s.sock
[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:classifier]
command={command}
process_name=%(program_name)s_%(process_num)02d
numprocs=19
autostart=false
autorestart=unexpected
startsecs=0
stopwaitsecs=10
stdout_logfile={folder}/workers.log
redirect_stderr=true
"""


@dataclass(frozen=True)
class Supervised:
    """A supervisord that runs; `folder` is short, because unix sockets' paths must be."""

    folder: Path
    process: Process

    @property
    def socket(self) -> Path:
        return self.folder / "s.sock"

    def states(self) -> dict[str, str]:
        """State of each process of the group that is not just STOPPED."""
        rpc: Any = connect(f"unix://{self.socket}")
        found = rpc.supervisor.getAllProcessInfo()
        return {p["name"]: p["statename"] for p in found if p["statename"] != "STOPPED"}

    def pids(self) -> dict[str, int]:
        rpc: Any = connect(f"unix://{self.socket}")
        return {p["name"]: p["pid"] for p in rpc.supervisor.getAllProcessInfo() if p["pid"]}


@contextmanager
def supervised(
    environment: dict[str, str], service_seconds: float = 0.0, command: str = ""
) -> Iterator[Supervised]:
    """Run supervisord with 19 stand-in workers, none of them started."""
    command = command or f"{sys.executable} {WORKER} %(program_name)s_%(process_num)02d"
    with tempfile.TemporaryDirectory(prefix="vf-", dir="/tmp") as name:
        folder = Path(name)
        conf = folder / "s.conf"
        conf.write_text(CONF.format(folder=folder, command=f"{command} {service_seconds}"))
        binary = Path(sys.executable).with_name("supervisord")
        argv = [str(binary), "-n", "-c", str(conf)]
        env = {**os.environ, **environment}
        with started(argv, folder / "out.log", env, stop_seconds=30) as process:
            made = Supervised(folder, process)
            wait_until(lambda: made.socket.exists(), 20, process.tail)
            yield made
