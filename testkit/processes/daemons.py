"""Real processes with a captured log, ended by their own id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from testkit import ROOT
from testkit.processes.waiting import PATIENCE_SECONDS, wait_until

PYTHONPATH = os.pathsep.join(str(ROOT / part) for part in ("lib", "daemons", "."))


def hear_interrupts() -> None:
    """Let Ctrl-C work: a shell that starts the tests in the background has switched it off."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Process:
    """One started process; its stdout and stderr go to one log file."""

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.argv = list(argv)
        self.log = log
        whole = {**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONUNBUFFERED": "1", **(env or {})}
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=whole,
                cwd=cwd,
                preexec_fn=hear_interrupts,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def running(self) -> bool:
        return self.status() is None

    def status(self) -> int | None:
        """Tell how the process has ended, None while it has not."""
        return self.popen.poll()

    def output(self) -> str:
        """Return all that the process has printed."""
        return self.log.read_text(errors="replace")

    def tail(self, lines: int = 40) -> str:
        """Return the end of the log, for the message of a failure."""
        last = "\n".join(self.output().splitlines()[-lines:])
        return f"{' '.join(self.argv)}: exit status {self.status()}, log:\n{last}"

    def wait_for_output(self, text: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the log holds the text; fail at once when the process ends without it."""

        def seen() -> bool:
            ended = not self.running  # asked first: what it printed last is still read below
            if text in self.output():
                return True
            assert not ended, f"ended without printing {text!r}; {self.tail()}"
            return False

        wait_until(seen, seconds, lambda: f"printing {text!r}; {self.tail()}")
        return self.output()

    def signal(self, number: int) -> None:
        """Send a signal to this process alone."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end and return the exit status."""
        seconds = max(seconds, PATIENCE_SECONDS)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s; {self.tail()}") from None

    def stop(self, seconds: float = PATIENCE_SECONDS) -> tuple[int, float]:
        """Send TERM and wait: the exit status and how many seconds the stop took."""
        started = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.wait(seconds), time.monotonic() - started

    def assert_exit(self, status: int = 0, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for the end and expect this exit status."""
        assert self.wait(seconds) == status, self.tail()

    def kill(self) -> None:
        """End the process with KILL, as a crash would; no harm when it has ended already."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.wait()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the running process and its children have used so far."""
        ticks = 0
        for text in of_family(self.pid, "stat"):
            fields = text.rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own, and that of children that have ended
        return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Ids of a running process and its children."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends now
            found += map(int, task.read_text().split())
    return found


def of_family(pid: int, name: str) -> Iterator[str]:
    """That file of /proc of a running process and of its children, but for those that end now."""
    yield Path(f"/proc/{pid}/{name}").read_text()
    for child in family(pid)[1:]:
        with suppress(FileNotFoundError, ProcessLookupError):
            yield Path(f"/proc/{child}/{name}").read_text()


@contextmanager
def started(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop_seconds: float = PATIENCE_SECONDS,
) -> Iterator[Process]:
    """Start a process for the length of a with block."""
    with ended(Process(argv, log, env, cwd), stop_seconds) as process:
        yield process


@contextmanager
def ended(process: Process, stop_seconds: float) -> Iterator[Process]:
    """End a process when the with block does: TERM, and KILL if that is not enough."""
    try:
        yield process
    finally:
        try:
            if process.running:
                process.stop(stop_seconds)
        finally:
            process.kill()


@contextmanager
def started_module(
    module: str,
    *arguments: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stop_seconds: float = PATIENCE_SECONDS,
) -> Iterator[Process]:
    """Start `python -m module arguments`; otherwise as started()."""
    argv = [sys.executable, "-m", module, *arguments]
    with started(argv, log, env, cwd, stop_seconds) as process:
        yield process
