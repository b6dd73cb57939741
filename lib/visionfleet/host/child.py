"""A child process that answers questions, so that a crash affects nothing else.

Questions and answers have a header and a payload. The header is a JSON message on a socket, the
payload is in a shared memory file: no send blocks, whatever the child does.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any

from visionfleet.errors import VisionfleetError

Header = Mapping[str, Any]
Answer = tuple[Header, bytearray]

_HEADER_BYTES = 64 << 10
# A wait is one of so long ones: what passes while this process itself is stopped counts as one.
_LOOK_SECONDS = 0.5
_END_SECONDS = 2.0  # from the end of the connection to that of the process
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_FIRST_TO_GO = "1000"  # of oom_score_adj


class ChildEnded(VisionfleetError):
    """The child has exited; `status` is negative if a signal killed it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"signal {-status}" if status < 0 else f"status {status}")
        self.status = status


class Child:
    """The parent's side, used by one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as failed:
            failed.enter_context(self._socket)
            with theirs:
                # In its own session, so that Ctrl-C reaches only the parent. Its output goes to our
                # log.
                self._process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=2, start_new_session=True
                )
            failed.pop_all()
        self._file: FileIO | None = None
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until it has started; raises TimeoutError and ChildEnded."""
        if not self._ready:
            self._hear(seconds)
            self._ready = True

    def ask(self, header: Header, payload: bytes) -> None:
        """Send a question, whose answer must be read before the next; raises ChildEnded."""
        self._file = _memory_file(payload)
        try:
            socket.send_fds(self._socket, [json.dumps(header).encode()], [self._file.fileno()])
        except ConnectionError as error:
            raise ChildEnded(self.end(_END_SECONDS)) from error

    def answer(self, seconds: float) -> Answer:
        """Wait for the answer; raises ChildEnded, or TimeoutError, after which it may come."""
        header = self._hear(seconds)
        assert self._file is not None
        with self._file as file:
            payload = bytearray(os.fstat(file.fileno()).st_size)
            file.seek(0)
            file.readinto(payload)
        return header, payload

    def lower_priority(self) -> None:
        """Give all other processes priority from now on."""
        with contextlib.suppress(OSError):  # it has exited, or systemd forbids it
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    def end(self, grace_seconds: float = 0.0) -> int:
        """Close the connection, and kill it unless it exits in time; returns its exit status."""
        self._socket.close()
        if self._file is not None:
            self._file.close()
        try:
            return self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _hear(self, seconds: float) -> Header:
        try:
            message = self._receive(seconds)
            if message:
                said: Header = json.loads(message)
                return said
        except (ConnectionError, ValueError) as error:
            raise ChildEnded(self.end(_END_SECONDS)) from error
        raise ChildEnded(self.end(_END_SECONDS))

    def _receive(self, seconds: float) -> bytes:
        left = seconds
        while True:
            look_seconds = min(left, _LOOK_SECONDS)
            self._socket.settimeout(look_seconds)
            try:
                return self._socket.recv(_HEADER_BYTES)
            except TimeoutError:
                left -= look_seconds
                if left <= 0:
                    raise


def serve(answer: Callable[[Header, bytes], tuple[Header, bytes]]) -> None:
    """Run as the child: answer questions on standard input until the parent is gone."""
    end_with_parent(signal.SIGKILL)  # even when hanging
    _be_cheap_to_lose()
    with contextlib.suppress(ConnectionError), socket.socket(fileno=os.dup(0)) as parent:
        parent.send(b"{}")
        while True:
            question, files, _flags, _address = socket.recv_fds(parent, _HEADER_BYTES, 1)
            if not question:
                return
            with FileIO(files[0], "r+b") as file:
                header, payload = answer(json.loads(question), file.readall())
                file.seek(0)
                file.truncate()
                file.write(payload)
            parent.send(json.dumps(header).encode())


def limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit this process's memory (MemoryError) and CPU time (SIGXCPU) from now on."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    _limit(resource.RLIMIT_DATA, pages * resource.getpagesize() + memory_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_seconds)


def _limit(what: int, soft: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def end_with_parent(by: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)


def _be_cheap_to_lose() -> None:
    """Leave no core dump, and be the OOM killer's first choice."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def _memory_file(payload: bytes) -> FileIO:
    file = FileIO(os.memfd_create("payload"), "r+b")
    file.write(payload)
    file.seek(0)
    return file
