"""Process control of daemons: signals, the stop event, process facts."""

import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from visionfleet.host.daemon_threads import crash, run_in_thread

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h: restarting does not help
EXIT_FORCED = 130
LOOK_UP_SECONDS = 1.0  # the longest time that a signal may stay unseen


def open_standard_files() -> None:
    """Open the null device in place of each standard file that is closed: a socket would get its
    number, and libuv ends a process that closes such a one.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115


def beside_signals(work: Callable[[], None]) -> Callable[[], None]:
    """Make a function for signal handlers: each call runs `work` once, on another thread.

    A handler interrupts the main thread anywhere, even while it holds a lock that `work` needs. An
    unexpected exception of `work` ends the process.
    """
    calls: SimpleQueue[None] = SimpleQueue()  # its put is documented as reentrant

    def run() -> None:
        while True:
            calls.get()
            work()

    run_in_thread("signals", run, crash(log))
    return lambda: calls.put(None)


def stop_on_signals(on_stop: Callable[[str], None]) -> None:
    """Call `on_stop` with the signal's name on the first TERM or INT; the second exits at once."""
    seen: list[str] = []
    stop = beside_signals(lambda: on_stop(seen[0]))

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            os._exit(EXIT_FORCED)
        seen.append(signal.Signals(number).name)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


@dataclass(slots=True)
class SignalEvents:
    """Signals as events for a loop: a stop, and reloads."""

    stop: threading.Event = field(default_factory=threading.Event)
    _reload: threading.Event = field(default_factory=threading.Event)
    _wake: threading.Event = field(default_factory=threading.Event)

    def to_stop(self) -> None:
        self.stop.set()
        self._wake.set()

    def to_reload(self) -> None:
        self._reload.set()
        self._wake.set()

    def take_reload(self) -> bool:
        asked = self._reload.is_set()
        self._reload.clear()
        return asked

    def wait(self, seconds: float) -> bool:
        """Wait for either, up to a time; returns whether to stop.

        Handlers run on the main thread alone, and a process that was stopped and continued may have
        its signals on another one, which does not wake it: so the wait is one of short ones.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._wake.wait(min(left, LOOK_UP_SECONDS)):
                break
        if self._wake.is_set():
            self._wake.clear()  # first, so that no signal is lost
        return self.stop.is_set()


def reload_on_hangup(on_hangup: Callable[[], None]) -> None:
    reload = beside_signals(on_hangup)
    signal.signal(signal.SIGHUP, lambda _number, _frame: reload())


def signal_events(log: logging.Logger) -> SignalEvents:
    """Events set by TERM, INT and HUP from now on; a stop is logged."""
    events = SignalEvents()

    def stop(name: str) -> None:
        log.info("stopping", extra={"signal": name})
        events.to_stop()

    stop_on_signals(stop)
    reload_on_hangup(events.to_reload)
    return events


def boot_clock() -> float:
    """Seconds since this machine booted, including suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def started_at() -> float:
    """The start of this process by the boot clock; proc(5): field 22 is in ticks of it."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def allow_open_files(most: int = 65536) -> int:
    """Raise the soft limit of open files towards the hard one; returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def age_seconds() -> float:
    return boot_clock() - started_at()


class StartupTimer:
    def __init__(self, began: float, now: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = {}
        self._began = self._last = began
        self._now = now

    def end(self, phase: str) -> None:
        """Attribute the time since the last phase ended to this one; repeated names add up."""
        now = self._now()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + max(0.0, now - self._last)
        self._last = now

    def total(self) -> float:
        return self._last - self._began
