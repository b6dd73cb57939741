"""Notifications to systemd, as by sd_notify(3)."""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from visionfleet.host.daemon_threads import Crashed, run_in_thread
from visionfleet.host.watchdog import Watchdog, extend_timeout, notification, period_seconds


def notify(*lines: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or not lines:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        sender.settimeout(1.0)  # systemd may be re-executing
        sender.connect(name)
        sender.sendall("\n".join(lines).encode())


def reloading() -> None:
    microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify("RELOADING=1", f"MONOTONIC_USEC={microseconds}")


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """The watchdog interval of systemd; None without one for this process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    pid = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or pid not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1e6


def power_off(environment: Mapping[str, str]) -> str | None:
    """Power off by `visionfleet-poweroff.path`; returns an error or None."""
    folder = environment.get("RUNTIME_DIRECTORY", "").split(":")[0] or "/run/visionfleet"
    try:
        (Path(folder) / "poweroff").touch()
    except OSError as error:
        return str(error)
    return None


@dataclass(slots=True)
class Notifier:
    """Notifies systemd regularly from its own thread; `status` must not block."""

    log: logging.Logger
    watchdog: Watchdog
    watchdog_seconds: float | None
    status: Callable[[], str]
    crashed: Crashed
    _last_status: str = ""
    _stuck: bool = False
    _stopping: bool = False

    def ready(self) -> None:
        """Send READY and start the thread; does nothing without systemd."""
        notify("READY=1")
        if os.environ.get("NOTIFY_SOCKET"):
            run_in_thread("systemd", self._run, self.crashed)

    def stopping(self, maximum_seconds: float) -> None:
        """Send STOPPING with the time that it may take; the thread ends."""
        self._stopping = True
        notify("STOPPING=1", extend_timeout(maximum_seconds))

    def _run(self) -> None:
        while True:
            self._notify()
            time.sleep(period_seconds(self.watchdog_seconds))

    def _notify(self) -> None:
        watched = self.watchdog_seconds is not None
        judged = watched and not self._stopping
        stuck, status = self.watchdog.stuck() if judged else [], self.status()
        if stuck and not self._stuck:
            self.log.critical("no progress", extra={"reason": "; ".join(stuck)})
        self._stuck = bool(stuck)
        notify(*notification(status, self._last_status, watched, self._stuck))
        self._last_status = status
