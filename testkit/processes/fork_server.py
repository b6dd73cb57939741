"""Daemons that start by a fork of a process that has imported them: torch takes seconds each time.

Run as `python -m testkit.processes.fork_server MODULE` it reads a start per line, and writes the
id of each process it has forked, then the status of each that has ended.
"""

import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from testkit.processes.daemons import PYTHONPATH, Process, hear_interrupts
from testkit.processes.waiting import PATIENCE_SECONDS, wait_until


class ForkServer:
    """Starts `module.main(arguments)` in forked processes."""

    def __init__(self, module: str, log: Path, environment: Mapping[str, str]) -> None:
        whole = {**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1", **environment}
        self._module = module
        self._log = log
        with log.open("ab") as errors:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "testkit.processes.fork_server", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=whole,
                text=True,
                preexec_fn=hear_interrupts,
            )
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        self._reader = threading.Thread(target=self._read, name="fork server")
        self._reader.start()

    def start(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
        """Start one; not to be called by two threads at once."""
        log.touch()  # it may be read before the process writes
        before, asked = len(self._started), (list(arguments), str(log), dict(environment))
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(asked) + "\n")
        self._popen.stdin.flush()
        wait_until(lambda: len(self._started) > before, 300, self._log.read_text, 0.01)
        return _ForkedProcess([self._module, *arguments], log, self, self._started[-1])

    def status(self, pid: int) -> int | None:
        """Tell how a process has ended, None while it has not."""
        return self._ended.get(pid)

    def close(self) -> None:
        """End the server; what it has started goes on."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.wait(30)
        self._reader.join()
        self._popen.stdout.close()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            pid, status = json.loads(line)
            if status is None:
                self._started.append(pid)
            else:
                self._ended[pid] = status


class _ForkedProcess(Process):
    def __init__(self, argv: Sequence[str], log: Path, server: ForkServer, pid: int) -> None:
        self.argv, self.log = list(argv), log
        self._server, self._pid = server, pid

    @property
    def pid(self) -> int:
        return self._pid

    def status(self) -> int | None:
        return self._server.status(self._pid)

    def signal(self, number: int) -> None:
        if self.running:
            os.kill(self._pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        wait_until(lambda: not self.running, seconds, self.tail)
        status = self.status()
        assert status is not None
        return status


@contextmanager
def fork_server(module: str, log: Path, environment: Mapping[str, str]) -> Iterator[ForkServer]:
    """Run one for the length of a with block; end what it has started before the block does."""
    server = ForkServer(module, log, environment)
    try:
        yield server
    finally:
        server.close()


def main() -> int:
    """Fork until the input ends, or be one of the forked."""
    module = importlib.import_module(sys.argv[1])
    importlib.import_module("torch")
    running: set[int] = set()
    asked = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    while True:
        readable, _, _ = select.select([0], [], [], 0.05)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                _tell(pid, os.waitstatus_to_exitcode(status))
        if readable:
            line = asked.readline()
            if not line:
                return 0
            arguments, log, environment = json.loads(line)
            pid = os.fork()
            if not pid:
                _become(log, environment)
                return int(module.main(arguments) or 0)
            running.add(pid)
            _tell(pid, None)


def _tell(pid: int, status: int | None) -> None:
    print(json.dumps((pid, status)), flush=True)


def _become(log: str, environment: Mapping[str, str]) -> None:
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    sys.exit(main())
