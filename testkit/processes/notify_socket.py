"""The socket on which systemd hears daemons, and what it heard."""

import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from testkit.processes.daemons import Process
from testkit.processes.waiting import wait_until


@dataclass
class NotifySocket:
    """What a daemon has notified; `address` is its NOTIFY_SOCKET."""

    address: str
    told: list[str] = field(default_factory=list)

    @property
    def statuses(self) -> list[str]:
        """The lines for `systemctl status`, in their order."""
        lines = [line for message in list(self.told) for line in message.splitlines()]
        return [line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")]

    def count(self, state: str) -> int:
        """Count the messages that hold this line."""
        return sum(state in message.splitlines() for message in list(self.told))

    def reload(self, process: Process, config: Path, text: str) -> str:
        """Have a daemon read a new configuration; returns what it logs about that."""
        readies, before = self.count("READY=1"), len(process.output())
        config.write_text(text)
        process.signal(signal.SIGHUP)
        wait_until(lambda: self.count("READY=1") > readies, 30, process.tail)
        return process.output()[before:]


@contextmanager
def notify_socket() -> Iterator[NotifySocket]:
    """Listen as systemd does for the length of a with block."""
    with (
        tempfile.TemporaryDirectory(prefix="vf-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener,
    ):
        made = NotifySocket(f"{folder}/notify")
        listener.bind(made.address)
        listener.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    made.told.append(listener.recv(65536).decode())

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield made
        finally:
            over.set()
            thread.join()
