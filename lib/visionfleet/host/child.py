"""A child process that answers questions, so that a crash affects nothing else.

Questions and answers have a header and a payload. The header and the payload's size are a JSON
message on a socket, the payload is in a shared memory file: no send blocks, whatever the child
does.
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
# The memory file keeps so much between questions: to get and free 250 KB costs 0.1 ms of CPU.
_KEPT_BYTES = 1 << 20
# A wait is one of so long ones: what passes while this process itself is stopped counts as one.
_LOOK_SECONDS = 0.5
_MOST_BYTES = 1 << 30  # of a payload: a broken child may say anything
_END_SECONDS = 2.0  # from the end of the connection to that of the process
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_FIRST_TO_GO = "1000"  # of oom_score_adj
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>


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
            self._memory = failed.enter_context(FileIO(os.memfd_create("payload"), "r+b"))
            with theirs:
                socket.send_fds(self._socket, [b"memory"], [self._memory.fileno()])
                # In its own session, so that Ctrl-C reaches only the parent. Its output goes to our
                # log.
                self._process = subprocess.Popen(
                    command, stdin=theirs.fileno(), stdout=2, start_new_session=True
                )
            failed.pop_all()
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
        self._memory.seek(0)
        self._memory.write(payload)
        try:
            self._socket.send(_message(header, payload))
        except ConnectionError as error:
            raise ChildEnded(self.end(_END_SECONDS)) from error

    def answer(self, seconds: float) -> Answer:
        """Wait for the answer; raises ChildEnded, or TimeoutError, after which it may come."""
        size, header = self._hear(seconds)
        taken = os.fstat(self._memory.fileno()).st_size
        payload = bytearray(min(size, taken))
        self._memory.seek(0)
        self._memory.readinto(payload)
        if taken > _KEPT_BYTES:
            self._memory.truncate(0)
        return header, payload

    def lower_priority(self) -> None:
        """Give all other processes priority from now on."""
        with contextlib.suppress(OSError):  # it has exited, or systemd forbids it
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 19)

    def end(self, grace_seconds: float = 0.0) -> int:
        """Close the connection, and kill it unless it exits in time; returns its exit status."""
        self._socket.close()
        self._memory.close()
        try:
            return self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _hear(self, seconds: float) -> tuple[int, Header]:
        try:
            message = self._receive(seconds)
            if message:
                return _checked(json.loads(message))
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
        _, files, _flags, _address = socket.recv_fds(parent, _HEADER_BYTES, 1)
        with FileIO(files[0], "r+b") as memory:
            parent.send(_message({}, b""))
            while question := parent.recv(_HEADER_BYTES):
                size, header = json.loads(question)
                memory.seek(0)
                header, payload = answer(header, memory.read(size))
                memory.seek(0)
                memory.write(payload)
                parent.send(_message(header, payload))


def limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    """Limit this process's memory (MemoryError) and CPU time (SIGXCPU) from now on."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[5])
    _limit(resource.RLIMIT_DATA, pages * resource.getpagesize() + memory_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_seconds)


def _limit(what: int, soft: int) -> None:
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def reuse_freed_memory(most_bytes: int) -> None:
    """Have malloc keep freed memory, up to so much of it, instead of returning it to the kernel."""
    libc = ctypes.CDLL(None)
    for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
        libc.mallopt(option, most_bytes)


def end_with_parent(by: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, by)


def _be_cheap_to_lose() -> None:
    """Leave no core dump, and be the OOM killer's first choice."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)


def _message(header: Header, payload: bytes) -> bytes:
    return json.dumps([len(payload), header]).encode()


def _checked(message: Any) -> tuple[int, Header]:
    """The size and the header; raises ValueError for anything else."""
    match message:
        case [int(size), dict(header)] if 0 <= size <= _MOST_BYTES:
            return size, header
    raise ValueError("not a size and a header")
