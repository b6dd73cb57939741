"""Sends entries to systemd's journal without blocking."""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import closing

SOCKET = "/run/systemd/journal/socket"
_TOO_LARGE = {errno.EMSGSIZE, errno.ENOBUFS}
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def stderr_is_journal(environment: Mapping[str, str], descriptor: int = 2) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Journal:
    """Non-blocking: calls return whether they succeeded; `write_line` is the fallback."""

    def __init__(self, address: str = SOCKET, descriptor: int = 2) -> None:
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._stream = socket.socket(fileno=os.dup(descriptor))

    def send(self, entry: bytes) -> bool:
        """Send an entry; a large one by a sealed memfd."""
        try:
            self._socket.sendto(entry, self._address)
        except BlockingIOError:
            return False
        except OSError as error:
            return error.errno in _TOO_LARGE and self._send_file(entry)
        return True

    def write_line(self, line: str) -> bool:
        data = line.encode(errors="replace") + b"\n"
        try:
            return self._stream.send(data, socket.MSG_DONTWAIT) == len(data)
        except OSError:
            return False

    def close(self) -> None:
        self._socket.close()
        self._stream.close()

    def _send_file(self, entry: bytes) -> bool:
        try:
            number = os.memfd_create("entry", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
            with closing(os.fdopen(number, "wb", buffering=0)) as file:
                file.write(entry)
                fcntl.fcntl(number, fcntl.F_ADD_SEALS, _SEALS)
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, number.to_bytes(4, sys.byteorder))
                self._socket.sendmsg([], [rights], 0, self._address)
        except OSError:
            return False
        return True
